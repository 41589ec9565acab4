import type { AnyCommand } from '../contract/command.ts'
import { isJsonObject, type JsonObject } from '../contract/json.ts'
import type { Defaults } from '../contract/try-parse.ts'
import { suggest } from './names.ts'
import { fieldsOfRequest } from './problems.ts'
import { type Level, type Mutable, reshape } from './reshape.ts'
import { type Repair, settle } from './settle.ts'
import { isSecret } from './wording.ts'

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

/**
 * The whole request corrected: names, types, spellings and nesting put right, what cannot be known left out and
 * listed. It is parsed again before it is given out. Undefined when no request can be said to work.
 */
export function repair(command: AnyCommand, raw: JsonObject, defaults: Defaults = {}): Repair | undefined {
  const needs = new Set<string>()
  const fields = fieldsOfRequest(command)
  const level: Level = { fields, aliases: command.fieldAliases ?? {}, needs, path: '' }
  const request = reshape(level, gather(level, hoist(raw, level)))
  return settle(command, withoutSecrets(request, needs), defaults, needs)
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
  const isOutside = (name: string) => taken.has(name) || Object.hasOwn(aliases, name)
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

function withoutSecrets(request: Mutable, needs: Set<string>): Mutable {
  const url = request.database_url
  if (url === undefined || !isSecret('', JSON.stringify(url))) return request
  const { database_url: _secret, ...rest } = request
  needs.add('database_url')
  return rest
}
