import * as z from 'zod'
import { isJsonObject, type Json } from './json.ts'

export type FieldType = 'string' | 'integer' | 'number' | 'boolean' | 'enum' | 'array' | 'object' | 'union'

/** What a value looks like on input, read from a zod schema. */
export interface Shape {
  readonly type: FieldType
  /** Items of an array. */
  readonly items?: Shape
  /** Named fields of an object; absent for a free object. */
  readonly fields?: readonly FieldInfo[]
  /** True for an object that takes other names than those in `fields`. */
  readonly open?: true
  /** Values of an enum. */
  readonly values?: readonly string[]
  /** Alternatives of a union; absent when it takes any JSON. */
  readonly variants?: readonly Shape[]
  /** Bounds of a number, inclusive. */
  readonly min?: number
  readonly max?: number
  /** Bounds of the length of a string or an array. */
  readonly minLength?: number
  readonly maxLength?: number
  /** Like `datetime`, for strings. */
  readonly format?: string
  /** Source of the regular expression that a string must match. */
  readonly pattern?: string
  readonly nullable?: true
}

/** One named field of an object. */
export interface FieldInfo extends Shape {
  readonly name: string
  readonly required: boolean
  readonly default?: Json
  readonly description?: string
}

/** The fields of an object schema, in order. Walks zod's definitions only: cheap enough for the CLI's start. */
export function describeFields(schema: z.ZodObject): readonly FieldInfo[] {
  return fieldsOf(schema.shape)
}

function fieldsOf(shape: Readonly<Record<string, z.core.$ZodType>>): FieldInfo[] {
  return Object.entries(shape).map(([name, field]) => describeField(name, field))
}

function describeField(name: string, schema: z.core.$ZodType): FieldInfo {
  let inner = schema
  let required = true
  let description: string | undefined
  let fallback: unknown
  for (;;) {
    description ??= z.globalRegistry.get(inner)?.description
    const def = definition(inner)
    if (def.type === 'default' || def.type === 'prefault') fallback ??= def.defaultValue
    else if (def.type !== 'optional' && def.type !== 'catch') break
    required = false
    inner = def.innerType
  }
  return {
    name,
    ...describeShape(inner),
    required,
    ...(isJson(fallback) ? { default: fallback } : {}),
    ...(description === undefined ? {} : { description }),
  }
}

/** What values a schema takes; wrappers that do not change that are looked through. */
export function describeShape(schema: z.core.$ZodType): Shape {
  const def = definition(schema)
  switch (def.type) {
    case 'string':
      return { type: 'string', ...lengths(def.checks), ...format(def), ...pattern(def) }
    case 'number':
      return { type: isInteger(def) ? 'integer' : 'number', ...bounds(def.checks) }
    case 'boolean':
      return { type: 'boolean' }
    case 'enum':
      return { type: 'enum', values: Object.values(def.entries).map(String) }
    case 'literal':
      return { type: 'enum', values: def.values.map(String) }
    case 'array':
      return { type: 'array', items: describeShape(def.element), ...lengths(def.checks) }
    case 'object':
      return { type: 'object', fields: fieldsOf(def.shape), ...(isOpen(def) ? { open: true } : {}) }
    case 'record':
      return { type: 'object', open: true }
    case 'union':
      return { type: 'union', variants: def.options.map(describeShape) }
    case 'nullable':
      return { ...describeShape(def.innerType), nullable: true }
    case 'optional':
    case 'default':
    case 'prefault':
    case 'catch':
    case 'readonly':
    case 'nonoptional':
      return describeShape(def.innerType)
    case 'pipe':
      return describeShape(definition(def.in).type === 'transform' ? def.out : def.in)
    default:
      return { type: 'union' }
  }
}

function definition(schema: z.core.$ZodType): z.core.$ZodTypes['_zod']['def'] {
  // safe: every schema that zod can build is a member of $ZodTypes, which only adds the definitions' types
  return (schema as z.core.$ZodTypes)._zod.def
}

type CheckDefinition = z.core.$ZodChecks['_zod']['def']

function isInteger(def: z.core.$ZodNumberDef): boolean {
  return checksOf(def).some((check) => check.check === 'number_format' && /int/.test(check.format))
}

/** A number or string format is a check of its own that sits in the definition itself. */
function checksOf(def: z.core.$ZodNumberDef): CheckDefinition[] {
  // safe: the members of `checks`, and a definition that has `check`, are the built-in checks
  const own = 'check' in def ? [def as unknown as CheckDefinition] : []
  return [...own, ...definitions(def.checks)]
}

function definitions(checks: readonly z.core.$ZodCheck[] | undefined): CheckDefinition[] {
  // safe: as above; a custom check has `check: 'custom'` and is passed over by every reader below
  return (checks ?? []).map((check) => check._zod.def as CheckDefinition)
}

function bounds(checks: readonly z.core.$ZodCheck[] | undefined): { min?: number; max?: number } {
  const found: { min?: number; max?: number } = {}
  for (const check of definitions(checks)) {
    if (check.check === 'greater_than') found.min = Number(check.value)
    if (check.check === 'less_than') found.max = Number(check.value)
  }
  return found
}

function lengths(checks: readonly z.core.$ZodCheck[] | undefined): {
  minLength?: number
  maxLength?: number
} {
  const found: { minLength?: number; maxLength?: number } = {}
  for (const check of definitions(checks)) {
    if (check.check === 'min_length') found.minLength = check.minimum
    if (check.check === 'max_length') found.maxLength = check.maximum
  }
  return found
}

function format(def: z.core.$ZodStringDef): { format?: string } {
  return 'format' in def && typeof def.format === 'string' && def.format !== 'regex'
    ? { format: def.format }
    : {}
}

function pattern({ checks }: z.core.$ZodStringDef): { pattern?: string } {
  for (const check of definitions(checks)) {
    if (check.check === 'string_format' && check.format === 'regex' && check.pattern) {
      return { pattern: check.pattern.source }
    }
  }
  return {}
}

function isOpen(def: z.core.$ZodObjectDef): boolean {
  return def.catchall !== undefined && definition(def.catchall).type !== 'never'
}

function isJson(value: unknown): value is Json {
  return ['string', 'number', 'boolean'].includes(typeof value) || Array.isArray(value) || isJsonObject(value)
}
