import { SwarmError } from '../contract/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'
import { sendable } from './fix.ts'

/** How deep objects and arrays may be nested; the request itself is the first level. */
export const MAX_DEPTH = 64

/** With the `u` flag a surrogate matches only where it is not half of a pair. */
const LONE_SURROGATE = /[\uD800-\uDFFF]/u

type Flaw = 'null byte' | 'lone surrogate' | '__proto__'

/**
 * Finds what JSON allows and swarm does not, anywhere in a request: nesting deeper than 64, null bytes and lone
 * surrogates (Postgres stores neither), `__proto__` as a key. Returns the refusal, which names the field.
 */
export function inspect(request: JsonObject): SwarmError | undefined {
  const deep = Object.keys(request).find((key) => isTooDeep(request[key], 2))
  if (deep !== undefined) {
    const field = printable(deep)
    return new SwarmError('INVALID', `${field} is nested too deep`, {
      ctx: { kind: 'InvalidValue', field, expected: `at most ${MAX_DEPTH} levels`, got: 'more' },
    })
  }
  const found = search(request)
  if (!found) return undefined
  const { flaw } = found
  const field = found.path.reverse().join('').replace(/^\./, '')
  if (flaw === '__proto__') {
    return new SwarmError('INVALID', `${field} is not a field of any request`, {
      ctx: { kind: 'UnknownField', field, expected: 'no such field', got: '__proto__' },
      ...sendable(cleanObject(request)),
    })
  }
  return new SwarmError('INVALID', `${field} contains a ${flaw}, which the database cannot store`, {
    ctx: { kind: 'InvalidValue', field, expected: `text without a ${flaw}`, got: `text with a ${flaw}` },
    ...sendable(cleanObject(request)),
  })
}

function isTooDeep(value: Json | undefined, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (depth > MAX_DEPTH) return true
  const items: readonly (Json | undefined)[] = isJsonObject(value) ? Object.values(value) : value
  return items.some((item) => isTooDeep(item, depth + 1))
}

/** `path` is the way to it from the inside out, made only when there is something to find. */
function search(value: Json | undefined): { flaw: Flaw; path: string[] } | undefined {
  if (typeof value === 'string') {
    const flaw = flawOf(value)
    return flaw && { flaw, path: [] }
  }
  if (typeof value !== 'object' || value === null) return undefined
  if (!isJsonObject(value)) {
    for (const [at, item] of value.entries()) {
      const found = search(item)
      if (found) return { ...found, path: [...found.path, `[${at}]`] }
    }
    return undefined
  }
  for (const [key, item] of Object.entries(value)) {
    const flaw = key === '__proto__' ? key : flawOf(key)
    const found = flaw ? { flaw, path: [] } : search(item)
    if (found) return { ...found, path: [...found.path, `.${printable(key)}`] }
  }
  return undefined
}

function flawOf(text: string): Flaw | undefined {
  if (text.includes('\0')) return 'null byte'
  return LONE_SURROGATE.test(text) ? 'lone surrogate' : undefined
}

function cleanObject(value: JsonObject): JsonObject {
  const entries = Object.entries(value).flatMap(([key, item]): [string, Json][] =>
    key === '__proto__' || item === undefined ? [] : [[cleanText(key), clean(item)]],
  )
  return Object.fromEntries(entries)
}

function clean(value: Json): Json {
  if (typeof value === 'string') return cleanText(value)
  if (typeof value !== 'object' || value === null) return value
  return isJsonObject(value) ? cleanObject(value) : value.map(clean)
}

function cleanText(text: string): string {
  return text.replaceAll('\0', '').replace(/[\uD800-\uDFFF]/gu, '\uFFFD')
}

/** A key as part of a path: short, and without what cannot be written. */
function printable(key: string): string {
  return JSON.stringify(key).slice(1, -1).slice(0, 100)
}
