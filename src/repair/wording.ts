import type { Shape } from '../contract/introspect.ts'
import type { Json } from '../contract/json.ts'
import { maskSecrets, SECRET_NAME } from '../contract/secrets.ts'

const MAX_GOT = 80
const MAX_ID_OR_SAFE = 2_147_483_647

/** What a shape takes, as a phrase that follows "must be". */
export function phrase(shape: Shape | undefined): string {
  switch (shape?.type) {
    case 'integer':
      return `an integer${range(shape)}`
    case 'number':
      return `a number${range(shape)}`
    case 'string':
      return shape.format === 'datetime' ? 'an ISO 8601 time' : `a string${lengthRange(shape, 'characters')}`
    case 'boolean':
      return 'true or false'
    case 'enum':
      return shape.values?.length === 1 ? `${shape.values[0]}` : `one of ${shape.values?.join(', ')}`
    case 'array':
      return `a list${lengthRange(shape, plural(shape.items)) || ` of ${plural(shape.items)}`}`
    case 'object':
      return `an object${withFields(shape)}`
    case 'union':
      return shape.variants?.map(phrase).join(' or ') ?? 'a JSON value'
    default:
      return 'a JSON value'
  }
}

/** The same, cut to what fits a sentence. */
export function shortPhrase(shape: Shape | undefined): string {
  const values = shape?.type === 'enum' ? (shape.values ?? []) : []
  if (values.length <= 8) return phrase(shape)
  return `one of ${values.slice(0, 5).join(', ')} and ${values.length - 5} more`
}

/** What kind of JSON a value is, with its article. */
export function kindOf(value: Json | undefined): string {
  if (value === undefined) return 'absent'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  switch (typeof value) {
    case 'object':
      return 'an object'
    case 'string':
      return 'a string'
    case 'boolean':
      return String(value)
    default:
      return Number.isInteger(value) ? 'an integer' : String(value)
  }
}

/** A value as it may be shown: short, and never a secret. */
export function shown(field: string, value: Json): Json {
  const text = JSON.stringify(value)
  if (isSecret(field, text)) return '(hidden)'
  if (typeof value === 'string') return cut(value)
  return typeof value === 'object' && value !== null ? cut(text) : value
}

/** True when a field or a JSON text may hold a password. */
export function isSecret(field: string, text: string): boolean {
  return SECRET_NAME.test(field) || hasPassword(text.slice(0, 1_000))
}

function hasPassword(text: string): boolean {
  return maskSecrets(text) !== text
}

function cut(text: string): string {
  return text.length <= MAX_GOT ? text : `${text.slice(0, MAX_GOT - 1)}…`
}

function range({ min, max }: Shape): string {
  const top = max === undefined || max >= MAX_ID_OR_SAFE ? undefined : max
  if (min !== undefined && top !== undefined) return ` from ${min} to ${top}`
  if (min !== undefined) return ` of at least ${min}`
  return top === undefined ? '' : ` of at most ${top}`
}

function lengthRange({ minLength, maxLength }: Shape, unit: string): string {
  if (minLength && maxLength) return ` of ${minLength} to ${maxLength} ${unit}`
  if (maxLength) return ` of at most ${maxLength} ${unit}`
  return minLength ? ` of at least ${minLength} ${unit}` : ''
}

function plural(items: Shape | undefined): string {
  switch (items?.type) {
    case 'integer':
      return 'integers'
    case 'number':
      return 'numbers'
    case 'string':
      return 'strings'
    case 'object':
      return `objects${withFields(items)}`
    default:
      return 'values'
  }
}

function withFields({ fields }: Shape): string {
  const required = fields?.filter((field) => field.required).map((field) => field.name) ?? []
  return required.length > 0 ? ` with ${required.join(', ')}` : ''
}
