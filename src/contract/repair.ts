import { coerceList, coerceObject, coerceScalar } from './coerce.ts'
import type { AnyCommand } from './command.ts'
import type { FixRequest } from './errors.ts'
import type { FieldInfo, Shape } from './introspect.ts'
import { isJsonObject, type Json, type JsonObject } from './json.ts'
import { suggest } from './names.ts'
import { aliasOf, type Defaults, tryParse } from './parse.ts'
import { fieldsOfRequest, problemsOf } from './problems.ts'
import { isSecret } from './wording.ts'

/** A request as it would work, and the fields that only its sender can fill in. */
export interface Repair {
  readonly request: FixRequest
  /** Paths like `beads[0].title`. Empty when the request parses as it stands. */
  readonly needs: readonly string[]
}

/** Names under which a whole request, or the fields of one, is sent by mistake. */
const WRAPPERS = [
  'args',
  'arguments',
  'params',
  'parameters',
  'input',
  'inputs',
  'fields',
  'options',
  'request',
]

const MAX_ROUNDS = 12

type Mutable = Record<string, Json>

/**
 * The whole request corrected: names, types, spellings and nesting put right, what cannot be known left out and
 * listed. It is parsed again before it is given out. Undefined when no request can be said to work.
 */
export function repair(command: AnyCommand, raw: JsonObject, defaults: Defaults = {}): Repair | undefined {
  const needs = new Set<string>()
  const fields = fieldsOfRequest(command)
  const level: Level = { fields, aliases: command.fieldAliases ?? {}, needs, path: '' }
  const request = repairObject(level, gather(level, hoist(raw, level)))
  return settle(command, withoutSecrets(request, needs), defaults, needs)
}

interface Level {
  readonly fields: readonly FieldInfo[]
  readonly aliases: Readonly<Record<string, string>>
  readonly needs: Set<string>
  readonly path: string
}

/** Fields sent inside `args` or the like belong one level up. */
function hoist(raw: JsonObject, { fields }: Level): JsonObject {
  const known = new Set(fields.map((field) => field.name))
  const wrapper = WRAPPERS.find((name) => !known.has(name) && isJsonObject(raw[name]))
  if (wrapper === undefined) return raw
  const { [wrapper]: inner, ...outer } = raw
  return isJsonObject(inner) ? { ...inner, ...outer } : raw
}

/** `{title}` where `{beads: [{title}]}` is wanted: fields of one item, sent beside instead of inside the list. */
function gather({ fields, aliases }: Level, raw: JsonObject): JsonObject {
  const list = fields.find((field) => field.required && field.type === 'array' && field.items?.fields)
  if (!list?.items?.fields || raw[list.name] !== undefined) return raw
  const taken = new Set(fields.map((field) => field.name))
  const inner = list.items.fields
  const isOutside = (name: string) => taken.has(name) || aliases[name] !== undefined
  const strays = Object.entries(raw).filter(
    ([name, value]) =>
      value !== undefined &&
      !isOutside(name) &&
      suggest(name, value, [list]) === undefined &&
      suggest(name, value, inner) !== undefined,
  )
  if (strays.length === 0) return raw
  const rest = Object.fromEntries(
    Object.entries(raw).filter(([name]) => !strays.some(([stray]) => stray === name)),
  )
  return { ...rest, [list.name]: [Object.fromEntries(strays)] }
}

/** Renames and coerces the fields of one object. Unknown names that stand for nothing are dropped. */
function repairObject(level: Level, raw: JsonObject): Mutable {
  const { fields, aliases, needs, path } = level
  const repaired: Mutable = {}
  const strangers: [string, Json][] = []
  for (const [name, value] of Object.entries(raw)) {
    if (value === undefined || name === '__proto__') continue
    const field = fields.find((each) => each.name === (aliasOf(aliases, name, raw) ?? name))
    if (field) keep(repaired, field.name, coerce(value, field, join(path, field.name), needs))
    else strangers.push([name, value])
  }
  for (const [name, value] of strangers) {
    const free = fields.filter((field) => repaired[field.name] === undefined)
    const suggestion = suggest(name, value, free, aliases)
    const field = free.find((each) => each.name === suggestion?.name)
    if (!field) continue
    // a guess that comes to nothing leaves nothing behind: what is required is found missing later
    const trial = new Set<string>()
    const result = coerce(scaled(value, suggestion?.scale), field, join(path, field.name), trial)
    keep(repaired, field.name, result)
    if (result !== undefined) for (const need of trial) needs.add(need)
  }
  return repaired
}

function scaled(value: Json, scale: number | undefined): Json {
  if (scale === undefined) return value
  const isNumber = typeof value === 'number' || (typeof value === 'string' && /^\d+(\.\d+)?$/.test(value))
  return isNumber ? Number(value) * scale : value
}

function keep(target: Mutable, name: string, value: Json | undefined): void {
  if (value !== undefined) target[name] = value
}

/** A value as its shape wants it. What was said but cannot be read goes to `needs`; null and blanks say nothing. */
function coerce(value: Json, shape: FieldInfo | Shape, path: string, needs: Set<string>): Json | undefined {
  if (value === null) return shape.nullable ? null : undefined
  if (path === 'rid')
    return typeof value === 'object' ? undefined : Number.isInteger(value) ? value : String(value)
  const result = coerceTo(value, shape, path, needs)
  if (result === undefined && !isBlank(value)) needs.add(path)
  return result
}

function coerceTo(value: Json, shape: Shape, path: string, needs: Set<string>): Json | undefined {
  switch (shape.type) {
    case 'object':
      return coerceFields(value, shape, path, needs)
    case 'array': {
      const { items } = shape
      const list = coerceList(value, shape)
      if (!items) return list
      return list.flatMap((item, at) => coerce(item, items, `${path}[${at}]`, needs) ?? [])
    }
    case 'union':
      return shape.variants ? coerceToVariant(value, shape.variants, path, needs) : value
    default:
      return coerceScalar(value, shape, lastName(path))
  }
}

function coerceFields(value: Json, shape: Shape, path: string, needs: Set<string>): Json | undefined {
  const object = coerceObject(value, shape)
  if (!isJsonObject(object)) return undefined
  if (!shape.fields) return object
  const repaired = repairObject({ fields: shape.fields, aliases: {}, needs, path }, object)
  return shape.open ? { ...object, ...repaired } : repaired
}

/** The variant of the value's own type is the one that was meant; another one only if there is none. */
function coerceToVariant(
  value: Json,
  variants: readonly Shape[],
  path: string,
  needs: Set<string>,
): Json | undefined {
  const own = variants.filter((variant) => isOfType(value, variant))
  const others =
    own.length > 0 && typeof value !== 'string' ? [] : variants.filter((each) => !own.includes(each))
  for (const variant of [...own, ...others]) {
    const trial = new Set<string>()
    const result = coerceTo(value, variant, path, trial)
    if (result === undefined || isBlank(result)) continue
    for (const need of trial) needs.add(need)
    return result
  }
  return undefined
}

function isOfType(value: Json, shape: Shape): boolean {
  switch (shape.type) {
    case 'array':
      return Array.isArray(value)
    case 'object':
      return isJsonObject(value)
    case 'integer':
    case 'number':
      return typeof value === 'number'
    case 'boolean':
      return typeof value === 'boolean'
    case 'union':
      return shape.variants?.some((variant) => isOfType(value, variant)) ?? true
    default:
      return typeof value === 'string'
  }
}

/** Takes out what still does not parse, until the rest does or only missing fields are left. */
function settle(
  command: AnyCommand,
  repaired: Mutable,
  defaults: Defaults,
  needs: Set<string>,
): Repair | undefined {
  let request: JsonObject = repaired
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const { cmd: _cmd, ...fields } = request
    const done = { request: { cmd: command.name, ...fields }, needs: [...needs] }
    const attempt = tryParse(command, request, defaults)
    if ('parsed' in attempt) return done
    const problems = problemsOf(command, request, attempt.issues)
    const wrong = problems.filter((problem) => problem.kind !== 'MissingField')
    for (const problem of problems) {
      if (problem.kind === 'MissingField') needs.add(problem.field)
    }
    if (wrong.length === 0) return { ...done, needs: [...needs] }
    for (const problem of wrong.reverse()) {
      if (problem.path.length === 0) return undefined
      if (!isBlank(problem.value ?? null)) needs.add(problem.field)
      request = withoutKey(request, problem.path)
    }
  }
  return undefined
}

function withoutKey(value: JsonObject, path: readonly PropertyKey[]): JsonObject {
  // safe: a value with something taken out of it is of the same kind, and an object went in
  return without(value, path) as JsonObject
}

function without(value: Json, [key, ...rest]: readonly PropertyKey[]): Json {
  if (Array.isArray(value)) {
    return rest.length === 0
      ? value.filter((_, at) => at !== key)
      : value.map((item, at) => (at === key ? without(item, rest) : item))
  }
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]): [string, Json][] => {
      if (item === undefined) return []
      if (name !== key) return [[name, item]]
      return rest.length === 0 ? [] : [[name, without(item, rest)]]
    }),
  )
}

function withoutSecrets(request: Mutable, needs: Set<string>): Mutable {
  const url = request.database_url
  if (url === undefined || !isSecret('', JSON.stringify(url))) return request
  const { database_url: _secret, ...rest } = request
  needs.add('database_url')
  return rest
}

function isBlank(value: Json): boolean {
  if (typeof value === 'string') return value.trim() === ''
  return value === null || (Array.isArray(value) && value.length === 0)
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

function lastName(path: string): string {
  return path.replace(/\[\d+\]$/, '').replace(/^.*\./, '')
}
