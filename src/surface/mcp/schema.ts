import type { FieldInfo, Shape } from '../../contract/introspect.ts'
import type { JsonObject } from '../../contract/json.ts'

/**
 * The JSON Schema of a tool's arguments. Types, names and meanings only: bounds and patterns cost a model's attention in every session,
 * and what breaks them is answered with the request that would work. `known` are fields that are filled in when absent.
 */
export function inputSchema(
  fields: readonly FieldInfo[],
  known: ReadonlySet<string> = new Set(),
): JsonObject {
  const required = fields.filter(({ name, required }) => required && !known.has(name)).map(({ name }) => name)
  return {
    type: 'object',
    properties: Object.fromEntries(fields.map((field) => [field.name, fieldSchema(field)])),
    ...(required.length > 0 ? { required } : {}),
  }
}

function fieldSchema({ description, ...shape }: FieldInfo): JsonObject {
  return { ...shapeSchema(shape), ...(description === undefined ? {} : { description }) }
}

function shapeSchema(shape: Shape): JsonObject {
  switch (shape.type) {
    case 'enum':
      return { type: 'string', enum: shape.values ?? [] }
    case 'array':
      return { type: 'array', items: shape.items ? shapeSchema(shape.items) : {} }
    case 'object':
      return shape.fields ? inputSchema(shape.fields) : { type: 'object' }
    case 'union':
      return unionSchema(shape.variants ?? [])
    default:
      return { type: shape.type }
  }
}

/** One of fixed words where that is a way to say it; else all the types there are. */
function unionSchema(variants: readonly Shape[]): JsonObject {
  const words = variants.find(({ type }) => type === 'enum')
  if (words) return shapeSchema(words)
  const scalars = variants.filter(({ type }) => ['string', 'integer', 'number', 'boolean'].includes(type))
  if (scalars.length === variants.length && variants.length > 0)
    return { type: variants.map(({ type }) => type) }
  return variants.length > 0 ? { anyOf: variants.map(shapeSchema) } : {}
}
