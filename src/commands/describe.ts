import * as z from 'zod'
import { type AnyCommand, type Catalog, defineCommand, GROUPS, type Group } from '../contract/command.ts'
import { commonFields, writeFields } from '../contract/common.ts'
import { ERRORS, exitCodeOf } from '../contract/errors.ts'
import { text } from '../contract/fields.ts'
import { describeFields, describeShape, type FieldInfo, type Shape } from '../contract/introspect.ts'
import { findVerb } from '../runtime/find-verb.ts'

const json = z.json()

const overview = z.object({
  notation: z.string(),
  verbs: z
    .record(z.string(), z.array(z.string()))
    .describe('summary, fields, and the effect unless it is a read'),
  operators: z
    .record(z.string(), z.array(z.string()))
    .describe('names of the verbs that operators use, by group; describe one for its fields'),
  every: z.string().describe('fields of every verb'),
  write: z.string().describe('further fields of every verb that is not a read'),
})
const whole = z.object({
  name: z.string(),
  aliases: z.array(z.string()).optional(),
  group: z.string(),
  summary: z.string(),
  effect: z.enum(['read', 'write', 'local']),
  needs: z.enum(['database', 'root', 'nothing']),
  fields: json,
  field_aliases: json.optional().describe('other names of fields'),
  output: json.describe('the shape of d'),
  errors: z.array(z.object({ code: z.string(), exit: z.int(), summary: z.string() })),
  examples: json,
})

export default defineCommand({
  name: 'describe',
  group: 'other',
  summary: 'what can be sent: verbs in short, or one in full',
  input: z.strictObject({ verb: text(64).optional() }),
  output: z.union([overview, whole]),
  effect: 'read',
  needs: 'nothing',
  errors: [],
  positional: ['verb'],
  examples: [
    {
      in: { cmd: 'describe', verb: 'ack' },
      out: { name: 'ack', effect: 'write', fields: '$any', output: '$any', errors: '$any', examples: '$any' },
    },
  ],
  run: async ({ catalog }, input) =>
    input.verb === undefined
      ? describeAll(catalog)
      : describeOne(await findVerb(catalog, input.verb, 'describe')),
})

/** Groups of verbs that agents have no use for: their names suffice, so that an agent reads at most 8 KB. */
const OPERATORS: readonly Group[] = ['set up', 'run']

/** What agents use with its fields, the loop first; what operators use by name; not what repeats other verbs. */
async function describeAll({ verbs, loaders }: Catalog): Promise<z.output<typeof overview>> {
  const of = (group: Group) => verbs.filter((verb) => verb.group === group)
  const inOrder = GROUPS.filter((group) => group !== 'compat' && !OPERATORS.includes(group)).flatMap(of)
  const commands = await Promise.all(inOrder.map((verb) => loaders[verb.name]?.()))
  return {
    notation:
      '* required; a string unless :type; [] list, {} object; with wait_ms or watch_ms a pipe needs a rid',
    verbs: Object.fromEntries(
      commands.flatMap((command) => (command ? [[command.name, inShort(command)]] : [])),
    ),
    operators: Object.fromEntries(OPERATORS.map((group) => [group, of(group).map(({ name }) => name)])),
    every: inLine(describeFields(commonFields)),
    write: inLine(describeFields(writeFields)),
  }
}

function inShort({ summary, input, effect }: AnyCommand): string[] {
  return [summary, inLine(describeFields(input)), ...(effect === 'read' ? [] : [effect])]
}

/** Fields in one line: `agent_id*:int labels:[]`. */
function inLine(fields: readonly FieldInfo[]): string {
  return fields.map((field) => `${field.name}${field.required ? '*' : ''}${shortType(field)}`).join(' ')
}

const LONGEST_ENUM = 40

function shortType(shape: Shape): string {
  switch (shape.type) {
    case 'integer':
    case 'number':
      return ':int'
    case 'boolean':
      return ':bool'
    case 'enum': {
      const values = shape.values?.join('|') ?? ''
      return values.length <= LONGEST_ENUM ? `:${values}` : ':enum'
    }
    case 'array':
      return shape.items?.fields ? ':[{}]' : ':[]'
    case 'object':
      return ':{}'
    default:
      return ''
  }
}

/** Codes that any verb can answer. */
const ALWAYS = ['INVALID', 'INTERNAL', 'DEPENDENCY', 'TIMEOUT'] as const

function describeOne(command: AnyCommand): z.output<typeof whole> {
  const {
    name,
    aliases = [],
    group,
    summary,
    effect,
    needs = 'database',
    fieldAliases,
    errors,
    examples,
  } = command
  return {
    name,
    ...(aliases.length > 0 ? { aliases: [...aliases] } : {}),
    group,
    summary,
    effect,
    needs,
    fields: plainJson(describeFields(command.input)),
    ...(fieldAliases ? { field_aliases: plainJson(fieldAliases) } : {}),
    output: plainJson(describeShape(command.output)),
    errors: [...errors, ...ALWAYS].map((code) => ({
      code,
      exit: exitCodeOf(code, 'other'),
      summary: ERRORS[code].summary,
    })),
    examples: plainJson(examples),
  }
}

/** The value without its absent keys. */
function plainJson(value: unknown): z.output<typeof json> {
  return JSON.parse(JSON.stringify(value))
}
