import * as z from 'zod'
import {
  type AnyCommand,
  type CommandContext,
  defineCommand,
  GROUPS,
  type Group,
} from '../contract/command.ts'
import { text } from '../contract/fields.ts'
import { describeFields, type FieldInfo } from '../contract/introspect.ts'
import { phrase } from '../repair/wording.ts'
import { findVerb } from '../runtime/find-verb.ts'

const TITLES: Readonly<Record<Group, string>> = {
  loop: "the agent's loop",
  'set up': 'setting up',
  run: 'running a swarm',
  work: 'steering the work',
  look: 'looking',
  talk: 'talking',
  other: 'others',
  compat: 'kept for those who use them',
}

export default defineCommand({
  name: 'help',
  aliases: ['?'],
  group: 'other',
  summary: 'what can be sent, for people; describe is for programs',
  input: z.strictObject({ verb: text(64).optional() }),
  output: z.object({ text: z.string() }),
  effect: 'read',
  needs: 'nothing',
  errors: [],
  positional: ['verb'],
  examples: [
    { in: { cmd: 'help' }, out: { text: '$string' } },
    { in: { cmd: '?', verb: 'claim-next' }, out: { text: '$string' } },
  ],
  run: async (ctx, input) => ({
    text:
      input.verb === undefined
        ? allVerbs(ctx)
        : oneVerb(ctx, await findVerb(ctx.catalog, input.verb, 'help')),
  }),
})

function allVerbs(ctx: CommandContext): string {
  const groups = GROUPS.map((group) => {
    const rows = ctx.catalog.verbs
      .filter((verb) => verb.group === group)
      .map((verb): [string, string] => [verb.name, verb.summary])
    return rows.length > 0 ? `${TITLES[group]}:\n${table(rows)}` : ''
  })
  return [
    'swarm coordinates coding agents that work on one backlog. One request, one envelope.',
    ...groups.filter((group) => group !== ''),
    `One verb: ${ctx.render({ cmd: 'help', verb: 'claim-next' })}`,
  ].join('\n\n')
}

function oneVerb(ctx: CommandContext, command: AnyCommand): string {
  const fields = describeFields(command.input).map((field): [string, string] => [
    `${field.name}${field.required ? ' *' : ''}`,
    told(field),
  ])
  const [example] = command.examples
  return [
    `${[command.name, ...(command.aliases ?? [])].join(', ')}: ${command.summary}`,
    ...(fields.length > 0 ? [`Fields (* required):\n${table(fields)}`] : []),
    ...(example
      ? [`Example:\n  ${ctx.render({ ...example.in, cmd: command.name })}\n  ${JSON.stringify(example.out)}`]
      : []),
  ].join('\n\n')
}

function told(field: FieldInfo): string {
  const byDefault = field.default === undefined ? '' : `, ${JSON.stringify(field.default)} by default`
  return `${field.description === undefined ? '' : `${field.description}; `}${phrase(field)}${byDefault}`
}

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, told]) => `  ${name.padEnd(width)}  ${told}`).join('\n')
}
