import type { FieldInfo, Shape } from '../contract/introspect.ts'
import { isJsonObject, type Json } from '../contract/json.ts'
import { closest, plain } from './nearest.ts'
import { meaningsOfField } from './synonyms.ts'

/** Where the value of an unknown field was probably meant to go. */
export interface Suggestion {
  readonly name: string
  /** What a number in the unknown field must be multiplied by to be in the unit of the known one. */
  readonly scale?: number
}

/** Units that people put at the end of a duration's name, in ms. */
const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  millis: 1,
  milliseconds: 1,
  s: 1_000,
  sec: 1_000,
  secs: 1_000,
  seconds: 1_000,
  m: 60_000,
  min: 60_000,
  mins: 60_000,
  minutes: 60_000,
}

/** Without a unit, a number below this is meant in seconds. */
const SMALLEST_PLAUSIBLE_MS = 1_000

/**
 * The field that an unknown name stands for, out of those that are still free and can take the value: by spelling,
 * by meaning, as singular or plural, by a unit at its end, and last by likeness.
 */
export function suggest(
  name: string,
  value: Json,
  free: readonly FieldInfo[],
  aliases: Readonly<Record<string, string>> = {},
): Suggestion | undefined {
  const fitting = free.filter((field) => isPlausible(value, field))
  const names = fitting.map((field) => field.name)
  const key = plain(name).replaceAll('-', '_')
  const pick = (options: readonly (string | undefined)[]) =>
    options.find((option) => option !== undefined && names.includes(option))

  const exact = pick([
    key,
    Object.hasOwn(aliases, key) ? aliases[key] : undefined,
    `${key}s`,
    key.replace(/s$/, ''),
  ])
  if (exact !== undefined) return { name: exact }
  const timed = suggestDuration(key, value, pick)
  if (timed) return timed
  const meant = pick(meaningsOfField(key))
  if (meant !== undefined) return { name: meant }
  const near = closest(key, names)
  return near === undefined ? undefined : { name: near }
}

function suggestDuration(
  key: string,
  value: Json,
  pick: (options: readonly (string | undefined)[]) => string | undefined,
): Suggestion | undefined {
  const [, stem = key, unit] = /^(.+)_([a-z]+)$/.exec(key) ?? []
  const factor = unit !== undefined && Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined
  const base = factor === undefined ? key : stem
  const options = [`${base}_ms`, ...meaningsOfField(base)].filter((option) => option.endsWith('_ms'))
  const name = pick(options)
  if (name === undefined) return undefined
  const amount = typeof value === 'object' ? Number.NaN : Number(value)
  const guessed = amount < SMALLEST_PLAUSIBLE_MS ? 1_000 : 1
  return { name, scale: factor ?? guessed }
}

/** Whether a value could be meant for a shape at all; coercing it is another matter. */
function isPlausible(value: Json, shape: Shape): boolean {
  if (shape.type === 'union') return shape.variants?.some((variant) => isPlausible(value, variant)) ?? true
  if (shape.type === 'array') {
    return Array.isArray(value) || !shape.items || isPlausible(value, shape.items)
  }
  if (shape.type === 'object') {
    if (typeof value !== 'string') return isJsonObject(value)
    return value.trimStart().startsWith('{') || soleText(shape) !== undefined
  }
  if (Array.isArray(value)) return value.length === 1 && !isJsonObject(value[0] ?? null)
  if (isJsonObject(value))
    return shape.type === 'string' && shape.maxLength !== undefined && shape.maxLength > 1_000
  if (shape.type === 'integer' || shape.type === 'number') {
    return typeof value === 'number' || (typeof value === 'string' && /\d/.test(value))
  }
  if (shape.type === 'boolean')
    return typeof value !== 'string' || /^(true|false|yes|no|on|off|0|1)$/i.test(value)
  return true
}

/** The field of an object that a bare text stands for: its one required field, if that is text. */
export function soleText(shape: Shape): string | undefined {
  const [field, ...others] = shape.fields?.filter(({ required }) => required) ?? []
  return field?.type === 'string' && others.length === 0 ? field.name : undefined
}
