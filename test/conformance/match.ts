import { isJsonObject, type Json } from '../../src/contract/json.ts'

/** What each `$name` in an expected answer stands for. */
const KINDS: Readonly<Record<string, (value: Json | undefined) => boolean>> = {
  $any: (value) => value !== undefined,
  $int: (value) => Number.isSafeInteger(value),
  $string: (value) => typeof value === 'string',
  $time: (value) => typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value),
}

/**
 * Where an answer differs from what is expected, as sentences; none if it matches. A string that starts with `$` matches
 * by kind, keys that are not expected are not compared, lists must be of one length.
 */
export function differences(expected: Json, actual: Json | undefined, path = '$'): readonly string[] {
  if (typeof expected === 'string' && Object.hasOwn(KINDS, expected)) {
    return KINDS[expected]?.(actual) ? [] : [`${path} is ${JSON.stringify(actual)}, not ${expected}`]
  }
  if (isList(expected)) {
    if (!isList(actual)) return [`${path} is ${JSON.stringify(actual)}, not a list`]
    if (actual.length !== expected.length) {
      return [`${path} has ${actual.length} items, not ${expected.length}: ${JSON.stringify(actual)}`]
    }
    return expected.flatMap((item, at) => differences(item, actual[at], `${path}[${at}]`))
  }
  if (isJsonObject(expected)) {
    if (!isJsonObject(actual)) return [`${path} is ${JSON.stringify(actual)}, not an object`]
    return Object.entries(expected).flatMap(([key, value]) =>
      value === undefined ? [] : differences(value, actual[key], `${path}.${key}`),
    )
  }
  return expected === actual ? [] : [`${path} is ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`]
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}
