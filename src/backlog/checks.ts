import * as z from 'zod'
import { MAX_OBJECT_BYTES, metadata, PRIORITIES, timestamp } from '../contract/fields.ts'
import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'

/** The longest id that a file may use, in characters; one that no new bead may have is kept beside a made one. */
export const LONGEST_ID = 2_000

/** Checks a line against its schema; throws the first thing that is wrong, by name. */
export function checkLine<S extends z.ZodType>(schema: S, value: JsonObject): z.output<S> {
  const result = schema.safeParse(value)
  if (result.success) {
    refuseUnstorable(value, '')
    return result.data
  }
  const [issue] = result.error.issues
  const at = issue?.path.map((key, n) =>
    typeof key === 'number' ? `[${key}]` : `${n === 0 ? '' : '.'}${String(key)}`,
  )
  const name = at?.join('') || 'the line'
  const got = issue?.path.reduce<unknown>(
    (inner, key) => (isIndexable(inner) ? inner[key] : undefined),
    value,
  )
  if (got === undefined) throw new Error(`${name} is missing`)
  throw new Error(`${name}: ${issue?.message ?? 'wrong'}`)
}

function isIndexable(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === 'object' && value !== null
}

/** Postgres stores no null bytes, and no half of a surrogate pair. */
function refuseUnstorable(value: Json | undefined, path: string): void {
  if (typeof value === 'string') {
    if (value.includes('\0')) throw new Error(`${path || 'a name'} holds a null byte`)
    if (/\p{Surrogate}/u.test(value))
      throw new Error(`${path || 'a name'} holds half a character (a lone surrogate)`)
  } else if (Array.isArray(value)) {
    for (const [at, item] of value.entries()) refuseUnstorable(item, `${path}[${at}]`)
  } else if (isJsonObject(value ?? null)) {
    for (const [name, item] of Object.entries(value ?? {})) {
      refuseUnstorable(name, path)
      refuseUnstorable(item, path ? `${path}.${name}` : name)
    }
  }
}

/** `null` says the same as an absent field. */
export function optional<S extends z.ZodType>(schema: S) {
  return schema.nullish().transform((value) => value ?? undefined)
}

/** 0 to 4, `p0` to `p4`, or either as text in any case. */
export const linePriority = z
  .union([z.number(), z.string()])
  .refine((value) => /^\s*p?[0-4]\s*$/i.test(String(value)), { error: 'must be 0 to 4' })
  .transform((value) => PRIORITIES[Number(String(value).replace(/\D/g, ''))] ?? 'p2')

/** Empty, blank and repeated labels say nothing. */
export const lineLabels = z
  .array(z.string().max(200))
  .transform((labels) => [...new Set(labels.map((label) => label.trim()).filter((label) => label !== ''))])

/** The name of a kind of link; `_` and `-` are equal. */
export function linkKind(type: string): string {
  return type.trim().toLowerCase().replaceAll('_', '-')
}

/** The time, if it is one that the database takes as it stands. */
export function timeOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' && timestamp.safeParse(value).success ? value : undefined
}

/** What a line says beyond the fields that are known is kept, up to the size that any metadata may have. */
export function checkMetadata(object: JsonObject): JsonObject {
  if (!metadata.safeParse(object).success)
    throw new Error(`what it says beyond the known fields is more than ${MAX_OBJECT_BYTES} bytes`)
  return object
}
