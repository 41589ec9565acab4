import { type AnyCommand, GROUPS, type Verb } from '../../contract/command.ts'
import { ERRORS } from '../../contract/errors.ts'
import type { JsonObject } from '../../contract/json.ts'
import { renderShell } from './render.ts'
import { buildVerb } from './verb.ts'

const USAGE = [
  ['swarm', 'answers JSON lines on stdin with envelopes on stdout'],
  ['swarm <command> [--flags]', 'prints one envelope; its exit code says how it went'],
  ['swarm help <command>', 'flags, examples and exit codes of a command'],
  ['swarm --format table <command>', 'prints for people instead'],
  ['swarm mcp', 'serves the tools of an agent to an MCP client; swarm mcp --help says how'],
  ['swarm --version', 'prints the version'],
] as const

/** What swarm can do: every verb with its line, by group. */
export function overview(verbs: readonly Verb[], version: string): string {
  const groups = GROUPS.flatMap((group) => {
    const members = verbs.filter((verb) => verb.group === group)
    return members.length > 0
      ? [`${group}:\n${columns(members.map(({ name, summary }) => [name, summary]))}`]
      : []
  })
  return [`swarm ${version}`, columns(USAGE), ...groups].join('\n\n')
}

/** Everything about one verb on the command line, from its definition. `width` is that of the reader's terminal. */
export function verbHelp(definition: AnyCommand, width: number): string {
  const { name, aliases = [], examples } = definition
  const { command } = buildVerb(definition)
  command.configureHelp({ helpWidth: width }).name(`swarm ${name}`).helpOption('-h, --help', 'print this')
  const lines = [...new Set(examples.map((example) => `  ${renderShell(withVerb(name, example.in))}`))]
  return [
    command.helpInformation().trimEnd(),
    ...(aliases.length > 0 ? [`Also: ${aliases.join(', ')}`] : []),
    ...(lines.length > 0 ? [`Examples:\n${lines.join('\n')}`] : []),
    `Exit codes:\n${columns(exitsOf(definition))}`,
  ].join('\n\n')
}

function withVerb(cmd: string, request: JsonObject): JsonObject & { readonly cmd: string } {
  return { ...request, cmd }
}

/** The exit codes that a verb can end with, and what each means. */
function exitsOf({ errors }: AnyCommand): [string, string][] {
  const codes = new Set(['CLI_ERROR', 'INVALID', 'INTERNAL', 'DEPENDENCY', 'TIMEOUT', ...errors] as const)
  const rows = [...codes].flatMap((code) =>
    Object.entries(ERRORS[code].exits).map(([area, exit]): [number, string] => [
      exit,
      area === 'other' ? `${code}: ${ERRORS[code].summary}` : `${code}: in the ${area}`,
    ]),
  )
  return [[0, 'done'], ...rows.sort(([a], [b]) => a - b)].map(([exit, meaning]) => [
    String(exit).padStart(2),
    String(meaning),
  ])
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`).join('\n')
}
