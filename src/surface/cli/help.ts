import type { AnyCommand } from '../../contract/command.ts'
import { ERRORS } from '../../contract/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../../contract/json.ts'
import type { Verb } from './catalog.ts'
import { renderShell } from './render.ts'
import { buildVerb } from './verb.ts'

/** Help as data and as text: an envelope for programs, the text for people. */
export interface Help {
  readonly d: JsonObject
  readonly text: string
}

/** What swarm can do: every verb with its line, by group. */
export function overview(verbs: readonly Verb[], version: string): Help {
  const width = Math.max(...verbs.map(({ name }) => name.length))
  const groups = [...new Set(verbs.map(({ group }) => group))]
  const sections = groups.map((group) => {
    const members = verbs.filter((verb) => verb.group === group)
    return `${group}:\n${members.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')}`
  })
  return {
    d: {
      usage: USAGE,
      version,
      commands: verbs.map(({ name, summary, group }) => ({ name, summary, group })),
    },
    text: [
      `swarm ${version}`,
      '',
      ...USAGE.map((line) => `  ${line}`),
      '',
      ...sections.flatMap((one) => [one, '']),
    ]
      .join('\n')
      .trimEnd(),
  }
}

const USAGE = [
  'swarm                        answers JSON lines on stdin with envelopes on stdout',
  'swarm <command> [--flags]    prints one envelope; its exit code says how it went',
  'swarm help <command>         flags, examples and exit codes of a command',
  'swarm --format table <command>   the same for people',
]

/** Everything about one verb, from its definition. */
export function verbHelp(definition: AnyCommand, width: number): Help {
  const { name, summary, aliases = [], positional = [], examples } = definition
  const { command, fields } = buildVerb(definition)
  const shown = fields.filter(({ alias }) => !alias)
  const shells = [...new Set(examples.map((example) => shellOf(name, example.in)))]
  const exits = exitsOf(definition)
  command.configureHelp({ helpWidth: width }).name(`swarm ${name}`)
  const text = [
    command.helpInformation().trimEnd(),
    ...(aliases.length > 0 ? ['', `Also: ${aliases.join(', ')}`] : []),
    ...(shells.length > 0 ? ['', 'Examples:', ...shells.map((line) => `  ${line}`)] : []),
    '',
    'Exit codes:',
    ...Object.entries(exits).map(([code, meaning]) => `  ${code.padStart(2)}  ${meaning}`),
  ]
  return {
    d: {
      command: name,
      summary,
      ...(aliases.length > 0 ? { aliases: [...aliases] } : {}),
      ...(positional.length > 0 ? { positional: [...positional] } : {}),
      flags: shown.map(({ field, flag, common }) => ({
        flag,
        field: field.name,
        type: field.type,
        ...(field.required ? { required: true } : {}),
        ...(field.values ? { values: [...field.values] } : {}),
        ...(field.default === undefined ? {} : { default: field.default }),
        ...(field.description === undefined ? {} : { description: field.description }),
        ...(common ? { common: true } : {}),
      })),
      examples: shells,
      exit_codes: exits,
    },
    text: text.join('\n'),
  }
}

function shellOf(name: string, request: Json): string {
  return renderShell({ ...(isJsonObject(request) ? request : {}), cmd: name })
}

/** The exit codes that a verb can end with. */
function exitsOf({ errors }: AnyCommand): Record<string, string> {
  const codes = [
    ...new Set(['CLI_ERROR', 'INVALID', 'INTERNAL', 'DEPENDENCY', 'TIMEOUT', ...errors] as const),
  ]
  const rows = codes.flatMap((code) =>
    Object.values(ERRORS[code].exits).map((exit): [number, string] => [
      exit,
      `${code}: ${ERRORS[code].summary}`,
    ]),
  )
  return Object.fromEntries([[0, 'done'], ...rows].map(([exit, meaning]) => [String(exit), String(meaning)]))
}
