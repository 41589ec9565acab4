import fc from 'fast-check'
import { isJsonObject, type Json, type JsonObject } from '../../src/contract/json.ts'

/** Fields that would make a request wait, or send it elsewhere. */
const NEVER = [
  'wait_ms',
  'watch_ms',
  'heartbeat',
  'database_url',
  'connect_timeout_ms',
  'repo',
  'stream',
  'new_log',
]
const IDS = ['a', 'b', 'c', 'contract', 'implement']

/** Requests that a published request schema allows; most are about agents and beads that exist. */
export function requestOf(schema: JsonObject): fc.Arbitrary<JsonObject> {
  return objectOf(schema, 0)
}

/** The same with one thing changed: a field set to anything, left out, or made up; or no object of fields at all. */
export function mutated(good: fc.Arbitrary<JsonObject>, schema: JsonObject): fc.Arbitrary<Json> {
  const names = Object.keys(propertiesOf(schema)).filter((name) => !NEVER.includes(name) && name !== 'cmd')
  return fc
    .tuple(good, fc.nat(), junk, fc.constantFrom('set', 'drop', 'extra'))
    .map(([request, at, value, how]) => {
      const name = names[at % Math.max(1, names.length)] ?? 'x'
      if (how === 'extra') return { ...request, [`x${at % 10}`]: value }
      if (how === 'set') return { ...request, [name]: value }
      const { [name]: _, ...rest } = request
      return rest
    })
}

const junk: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(null, '', ' ', '-1', 'NaN', "'; drop table beads; --", '$(id)', 'x'.repeat(300)),
  fc.constantFrom<Json>(
    [],
    {},
    true,
    false,
    -1,
    0,
    0.1,
    2 ** 31,
    2 ** 53,
    -(2 ** 53),
    1e308,
    '💥'.repeat(50),
  ),
  fc.constantFrom<Json>('0000-01-01T00:00:00Z', '9999-12-31T23:59:59Z', "abc\\'", '%', '_', '\\'),
  fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>,
)

function propertiesOf(schema: JsonObject): JsonObject {
  return isJsonObject(schema.properties) ? schema.properties : {}
}

function objectOf(schema: JsonObject, depth: number): fc.Arbitrary<JsonObject> {
  const required = Array.isArray(schema.required) ? schema.required.map(String) : []
  const fields: Record<string, fc.Arbitrary<Json>> = {}
  for (const [name, field] of Object.entries(propertiesOf(schema))) {
    if ((depth > 0 || !NEVER.includes(name) || required.includes(name)) && isJsonObject(field))
      fields[name] = shapeOf(field, depth + 1)
  }
  if (Object.keys(fields).length === 0) {
    const values = isJsonObject(schema.additionalProperties) ? schema.additionalProperties : {}
    // a name that says what its value is has a form of its own
    const names = Object.keys(values).length > 0 ? fc.constantFrom(...IDS) : fc.string({ maxLength: 8 })
    return fc.dictionary(names, shapeOf(values, depth + 1), { maxKeys: 3 })
  }
  const requiredKeys = required.filter((name) => Object.hasOwn(fields, name))
  return fc.record(fields, { requiredKeys })
}

function shapeOf(schema: JsonObject, depth: number): fc.Arbitrary<Json> {
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (Array.isArray(schema.enum)) return fc.constantFrom(...(schema.enum as Json[]))
  if (Array.isArray(schema.anyOf)) {
    return fc.oneof(...schema.anyOf.filter(isJsonObject).map((each) => shapeOf(each, depth)))
  }
  switch (schema.type) {
    case 'integer':
    case 'number':
      return integers(schema)
    case 'boolean':
      return fc.boolean()
    case 'string':
      return strings(schema)
    case 'array': {
      const items = isJsonObject(schema.items) ? schema.items : {}
      const least = Number(schema.minItems ?? 0)
      return fc.array(shapeOf(items, depth + 1), { minLength: least, maxLength: Math.max(3, least) })
    }
    case 'object':
      return objectOf(schema, depth)
    default:
      return fc.jsonValue({ maxDepth: 1 }) as fc.Arbitrary<Json>
  }
}

function integers({ minimum, maximum }: JsonObject): fc.Arbitrary<number> {
  const least = Number(minimum ?? -1_000)
  const most = Number(maximum ?? 1_000_000)
  const small = fc.integer({ min: Math.max(least, -5), max: Math.min(most, Math.max(least, 3)) })
  return fc.oneof({ weight: 4, arbitrary: small }, { weight: 1, arbitrary: fc.constantFrom(least, most) })
}

function strings({ pattern, format, minLength, maxLength }: JsonObject): fc.Arbitrary<string> {
  if (format === 'date-time') return fc.constantFrom('2026-01-02T03:04:05Z', '2026-01-02T03:04:05.678+02:00')
  const free = pattern === undefined || String(pattern).startsWith('^[^\\u0000]*')
  if (!free) return fc.stringMatching(new RegExp(String(pattern)), { size: 'small' })
  const least = Number(minLength ?? 0)
  const most = Math.min(Number(maxLength ?? 40), 40)
  const any = fc.string({ minLength: least, maxLength: most, unit: 'grapheme' })
  const said = any.map((text) => (least > 0 && text.trim() === '' ? 'x' : text).slice(0, most))
  return fc.oneof(fc.constantFrom(...IDS), said)
}
