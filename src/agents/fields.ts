import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'

/* What others send is taken apart with these: a field of another type than expected is a field that is not there. */

export type Value = Json | undefined

export const objectOf = (value: Value): JsonObject => (isJsonObject(value) ? value : {})
export const listOf = (value: Value): readonly Json[] => (Array.isArray(value) ? value : [])
export const textOf = (value: Value): string | undefined => (typeof value === 'string' ? value : undefined)
export const numberOf = (value: Value): number | undefined => (typeof value === 'number' ? value : undefined)

/** A line that holds a JSON object; undefined for any other line. */
export function parseObject(line: string): JsonObject | undefined {
  if (!/^\s*\{/.test(line)) return undefined
  try {
    const value: unknown = JSON.parse(line)
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** An object without the fields that are undefined. */
export function present<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  // only fields that are undefined have been left out
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> }
}
