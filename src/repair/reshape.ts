import type { FieldInfo, Shape } from '../contract/introspect.ts'
import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'
import { aliasOf } from '../contract/try-parse.ts'
import { coerceList, coerceObject, coerceScalar } from './coerce.ts'
import { suggest } from './names.ts'

export type Mutable = Record<string, Json>

/** One object of a request, and what it may hold. */
export interface Level {
  readonly fields: readonly FieldInfo[]
  readonly aliases: Readonly<Record<string, string>>
  readonly needs: Set<string>
  readonly path: string
  /** The object takes other names too. */
  readonly open?: boolean
}

/** Renames and coerces the fields of one object. Unknown names that stand for nothing are dropped. */
export function reshape(level: Level, raw: JsonObject): Mutable {
  const { fields, aliases, needs, path, open = false } = level
  const repaired: Mutable = {}
  const strangers: [string, Json][] = []
  for (const [name, value] of Object.entries(raw)) {
    if (value === undefined || name === '__proto__') continue
    const field = fields.find((each) => each.name === (aliasOf(aliases, name, raw) ?? name))
    if (field && !isStatus(name, value))
      keep(repaired, field.name, coerce(value, field, join(path, field.name), needs))
    else strangers.push([name, value])
  }
  for (const [name, value] of strangers) {
    const free = fields.filter((field) => repaired[field.name] === undefined && (field.required || !open))
    const suggestion = suggest(name, value, free, aliases)
    const field = free.find((each) => each.name === suggestion?.name)
    if (!field) {
      if (open) repaired[name] = value
      continue
    }
    // a guess that comes to nothing leaves nothing behind: what is required is found missing later
    const trial = new Set<string>()
    const result = coerce(scaled(value, suggestion?.scale), field, join(path, field.name), trial)
    keep(repaired, field.name, result)
    if (result !== undefined) for (const need of trial) needs.add(need)
  }
  return repaired
}

/** `state` asks for totals with every verb, and is what many call the outcome or the status. */
function isStatus(name: string, value: Json): boolean {
  return name === 'state' && typeof value === 'string' && !/^(true|false|yes|no|on|off)$/i.test(value)
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
  if (path === 'rid') return ridOf(value)
  const result = coerceTo(value, shape, path, needs)
  if (result === undefined && !isBlank(value)) needs.add(path)
  return result
}

/** A request id says nothing about the request: one that is wrong is left out and not asked for. */
function ridOf(value: Json): Json | undefined {
  if (Number.isInteger(value)) return value
  return typeof value === 'object' ? undefined : String(value)
}

function coerceTo(value: Json, shape: Shape, path: string, needs: Set<string>): Json | undefined {
  switch (shape.type) {
    case 'object':
      return coerceFields(value, shape, path, needs)
    case 'array': {
      const { items } = shape
      const list = coerceList(value, shape)
      if (!items) return list
      return list
        .map((item, at) => coerce(item, items, `${path}[${at}]`, needs))
        .filter((item) => item !== undefined)
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
  return reshape({ fields: shape.fields, aliases: {}, needs, path, open: shape.open === true }, object)
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

/** Text and lists that say nothing. */
export function isBlank(value: Json): boolean {
  if (typeof value === 'string') return value.trim() === ''
  return value === null || (Array.isArray(value) && value.length === 0)
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

function lastName(path: string): string {
  return path.replace(/\[\d+\]$/, '').replace(/^.*\./, '')
}
