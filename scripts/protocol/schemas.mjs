/** JSON Schema of what is sent and answered. */

/** Codes that any verb may answer with. */
const ALWAYS = ['INVALID', 'INTERNAL', 'DEPENDENCY', 'TIMEOUT']

/** What a schema cannot say of strings and numbers wherever they stand. */
const EVERYWHERE =
  'Anywhere in a request: no null bytes, no lone surrogates, integers within 2^53, at most 64 levels of nesting.'

/** One verb: its request, its `d`, and what else the definition says. */
export function commandSchema(contract, command) {
  const { z, commonFields, writeFields, ERRORS } = contract
  const { name, aliases = [], fieldAliases, effect, needs = 'database' } = command
  const { cmd: _cmd, ...common } = commonFields.shape
  const request = z.strictObject({
    cmd: z.literal(name),
    ...command.input.shape,
    ...common,
    ...(effect === 'read' ? {} : writeFields.shape),
  })
  return {
    name,
    ...(aliases.length > 0 ? { aliases } : {}),
    group: command.group,
    summary: command.summary,
    effect,
    needs,
    ...(command.waits ? { may_wait: true } : {}),
    ...('append' in command ? { appends: true } : {}),
    ...(command.positional ? { positional: command.positional } : {}),
    ...(fieldAliases ? { field_aliases: fieldAliases } : {}),
    errors: errorsOf(ERRORS, command),
    request: { $comment: EVERYWHERE, ...jsonSchema(z, request, 'input') },
    d: jsonSchema(z, command.output, 'output'),
    examples: command.examples,
  }
}

/** The codes that a verb may answer, in the order of the table. */
export function errorsOf(errors, command) {
  return Object.keys(errors).filter((code) => ALWAYS.includes(code) || command.errors.includes(code))
}

/** A row of the event log. */
export function eventSchema({ z, eventRow, EVENT_ALIASES }) {
  const { $schema, ...schema } = jsonSchema(z, eventRow, 'output')
  return { $schema, title: 'A row of the event log', input_aliases: EVENT_ALIASES, ...schema }
}

/** What is written to stdout for each request. */
export function envelopeSchema({ ERRORS }) {
  const head = {
    rid: { anyOf: [{ type: 'string' }, { type: 'integer' }], description: 'as it was sent' },
    t: { type: 'integer', description: 'Unix milliseconds' },
    ms: { type: 'number', minimum: 0, description: 'milliseconds spent' },
  }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'The answer to one request',
    anyOf: [
      {
        type: 'object',
        properties: {
          ok: { const: true },
          ...head,
          d: { description: 'what the verb answers; its schema is in commands/<verb>.json' },
          more: {
            const: true,
            description: 'a line of a stream; the answer, under the same rid, comes last',
          },
          replayed: { const: true, description: 'this is the first answer to the same operation key' },
          state: {
            type: 'object',
            properties: { total: { type: 'integer' }, active: { type: 'integer' } },
            required: ['total', 'active'],
            additionalProperties: false,
          },
          next: {
            type: 'string',
            description: 'the request to send next, where it is not the documented flow',
          },
        },
        required: ['ok', 't', 'ms', 'd'],
        additionalProperties: false,
      },
      {
        type: 'object',
        properties: {
          ok: { const: false },
          ...head,
          err: {
            type: 'object',
            properties: {
              code: { enum: Object.keys(ERRORS) },
              msg: { type: 'string', description: 'one plain sentence' },
              ctx: {
                type: 'object',
                description: 'facts to act on; for a wrong field kind, field, expected and got',
                properties: {
                  kind: { enum: ['MissingField', 'InvalidType', 'InvalidValue', 'UnknownField', 'Custom'] },
                  field: { type: 'string', description: 'like beads[0].title' },
                  expected: { type: 'string' },
                  got: { description: 'what was sent, cut short, without secrets' },
                  nearest: { type: 'string', description: 'the name that was probably meant' },
                  also: { type: 'array', items: { type: 'string' }, description: 'other problems' },
                  needs: { type: 'array', items: { type: 'string' }, description: 'fields that fix lacks' },
                  retryable: { const: true, description: 'the same request may work later' },
                },
              },
            },
            required: ['code', 'msg'],
            additionalProperties: false,
          },
          fix: { type: 'string', description: 'the request that would work' },
        },
        required: ['ok', 't', 'ms', 'err'],
        additionalProperties: false,
      },
    ],
  }
}

/** Every code with its exit codes. */
export function errorTable({ ERRORS }) {
  return Object.fromEntries(
    Object.entries(ERRORS).map(([code, { exits, retryable, summary }]) => [
      code,
      { exits, retryable, summary },
    ]),
  )
}

function jsonSchema(z, schema, io) {
  const json = z.toJSONSchema(schema, {
    io,
    target: 'draft-2020-12',
    unrepresentable: 'any',
    override: ({ jsonSchema: json, zodSchema }) => {
      // many validators do not look at formats, and zod's own pattern is longer than most schemas
      if (json.format === 'date-time') json.pattern = '^\\d{4}-\\d{2}-\\d{2}T'
      if (io === 'output' && json.minimum === Number.MIN_SAFE_INTEGER) delete json.minimum
      if (io === 'output' && json.maximum === Number.MAX_SAFE_INTEGER) delete json.maximum
      if (io === 'input' && json.type === 'string' && !json.enum && json.const === undefined) {
        // no request may hold a null byte; a pattern of its own keeps it out by itself
        if (json.pattern === undefined) json.pattern = '^[^\\u0000]*$'
        if (json.pattern === '\\S') json.pattern = '^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$'
      }
      if (json.propertyNames?.type === 'string') delete json.propertyNames
      // answers may get more fields in time
      const { type, catchall } = zodSchema._zod.def
      if (io === 'output' && type === 'object' && !catchall) delete json.additionalProperties
    },
  })
  return withoutAnyJson(json)
}

/** zod spells out what any JSON value is, each time; JSON Schema calls it `{}`. */
function withoutAnyJson({ $defs = {}, ...json }) {
  const anything = new Set(Object.keys($defs).filter((name) => isAnyJson($defs[name], `#/$defs/${name}`)))
  const rest = Object.fromEntries(Object.entries($defs).filter(([name]) => !anything.has(name)))
  const text = JSON.stringify(Object.keys(rest).length > 0 ? { ...json, $defs: rest } : json)
  return JSON.parse(text, (_key, value) =>
    typeof value?.$ref === 'string' && anything.has(value.$ref.slice('#/$defs/'.length))
      ? Object.fromEntries(Object.entries(value).filter(([name]) => name !== '$ref'))
      : value,
  )
}

function isAnyJson({ anyOf = [] }, ref) {
  return anyOf.length === 6 && anyOf.some(({ items }) => items?.$ref === ref)
}
