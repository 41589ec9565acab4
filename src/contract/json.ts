/** Any value that survives a round trip through JSON. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject

/** A JSON object. An absent key and an `undefined` value are the same thing: neither is written. */
export interface JsonObject {
  readonly [key: string]: Json | undefined
}

/** True for what JSON calls an object: not null, not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The same with every text as a database can hold it: halves of characters become U+FFFD and null bytes U+2400. For what programs have said, and for
 * texts that were cut.
 */
export function storable<T>(value: T): T
export function storable(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value)
  if (Array.isArray(value)) return value.map((one) => storable(one))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [storableText(key), storable(one)]))
}

function storableText(text: string): string {
  // a pair of halves is one character for an expression with the flag u, so only lone ones are found
  return text.replaceAll('\0', '\u2400').replace(/\p{Surrogate}/gu, '\ufffd')
}
