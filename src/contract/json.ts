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
