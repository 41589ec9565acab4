import type { Shape } from '../contract/introspect.ts'
import { isJsonObject, type Json } from '../contract/json.ts'
import { soleText } from './names.ts'
import { closest, plain } from './nearest.ts'
import { meaningsOfValue } from './synonyms.ts'

/** Numbers that may be moved into their range without changing what the request is about. Ids and fences may not. */
const CLAMPABLE = /(_ms|limit|count|after|depth|priority)$/

/** From this length on, a string field holds prose, which may also be had of a list or an object. */
const LONG_TEXT = 1_000

/** Milliseconds of the units that people write behind a number. */
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/**
 * A scalar as its shape wants it, or undefined when no real value can be had of it. `name` is the field's: what may be
 * read into a number depends on what it counts.
 */
export function coerceScalar(value: Json, shape: Shape, name: string): Json | undefined {
  const bare = unwrap(value)
  switch (shape.type) {
    case 'string':
      return coerceText(value, shape, name)
    case 'integer':
    case 'number':
      return coerceNumber(bare, shape, name)
    case 'boolean':
      return coerceBoolean(bare)
    default:
      return coerceEnum(bare, shape.values ?? [])
  }
}

/** An object where a bare text or JSON text was given; undefined when it cannot be one. */
export function coerceObject(value: Json, shape: Shape): Json | undefined {
  if (isJsonObject(value)) return value
  if (typeof value !== 'string') return undefined
  const parsed = parseJson(value)
  if (parsed !== undefined) return isJsonObject(parsed) ? parsed : undefined
  const field = soleText(shape)
  return field === undefined ? undefined : { [field]: value }
}

/** A list where one item, JSON text or words with commas were given. */
export function coerceList(value: Json, shape: Shape): readonly Json[] {
  if (Array.isArray(value)) return value
  if (typeof value !== 'string') return [value]
  const parsed = parseJson(value)
  if (Array.isArray(parsed)) return parsed
  if (parsed !== undefined) return [parsed]
  if (shape.items?.type === 'object') return [value]
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function coerceText(value: Json, shape: Shape, name: string): string | undefined {
  const text = textOf(value, shape)
  if (text === undefined || !shape.pattern || new RegExp(shape.pattern).test(text)) return text
  // kinds are written in one way, so their spelling can be mended; other names would be made up
  const spelt = plain(text).replaceAll('-', '_')
  return name.endsWith('_type') && new RegExp(shape.pattern).test(spelt) ? spelt : undefined
}

function textOf(value: Json, { maxLength = 0 }: Shape): string | undefined {
  if (value === null || typeof value === 'boolean') return undefined
  if (typeof value !== 'object') return String(value)
  if (maxLength >= LONG_TEXT) {
    const isLines = Array.isArray(value) && value.every((item) => typeof item === 'string')
    return isLines ? value.join('\n') : JSON.stringify(value)
  }
  const only = unwrap(value)
  return typeof only === 'string' || typeof only === 'number' ? String(only) : undefined
}

function coerceNumber(value: Json, shape: Shape, name: string): number | undefined {
  const read = typeof value === 'string' ? readNumber(value, name) : value
  if (typeof read !== 'number') return undefined
  const clampable = CLAMPABLE.test(name)
  const number = shape.type === 'integer' && clampable ? Math.round(read) : read
  if (shape.type === 'integer' && !Number.isSafeInteger(number)) return undefined
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = shape
  if (number >= min && number <= max) return number
  if (!clampable) return undefined
  const seconds = number * 1_000
  if (name.endsWith('_ms') && number > 0 && number < min && seconds >= min && seconds <= max) return seconds
  return Math.min(Math.max(number, min), max)
}

function readNumber(text: string, name: string): number | undefined {
  const trimmed = text.trim().replace(/(?<=\d)[_,](?=\d{3}(?:\D|$))/g, '')
  if (/^[+-]?\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed)
  if (name.endsWith('_ms')) {
    const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)[a-z]*$/i.exec(trimmed) ?? []
    const factor = UNIT_MS[unit.toLowerCase()]
    return amount === undefined || factor === undefined ? undefined : Number(amount) * factor
  }
  const [, id] = /^(?:agent[-_ #]?|[#v])(\d+)$/i.exec(trimmed) ?? []
  return id === undefined ? undefined : Number(id)
}

function coerceBoolean(value: Json): boolean | undefined {
  if (typeof value === 'boolean') return value
  if (typeof value === 'object') return undefined
  const word = String(value).trim().toLowerCase()
  if (['true', 'yes', 'y', 'on', '1'].includes(word)) return true
  return ['false', 'no', 'n', 'off', '0'].includes(word) ? false : undefined
}

function coerceEnum(value: Json, values: readonly string[]): string | undefined {
  if (typeof value === 'object') return undefined
  const word = plain(String(value))
  const spelt = values.find(
    (option) => plain(option) === word || (/^\d$/.test(word) && option === `p${word}`),
  )
  if (spelt !== undefined) return spelt
  const found = meaningsOfValue(word)
    .map((wanted) => values.find((option) => plain(option) === wanted))
    .find(Boolean)
  return found ?? closest(word, values)
}

/** The one thing in a list or an object of one. */
function unwrap(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value
  const items = Object.values(value)
  const [only] = items
  return items.length === 1 && typeof only !== 'object' && only !== undefined ? only : value
}

function parseJson(text: string): Json | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
