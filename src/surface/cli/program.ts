import { Command, CommanderError } from 'commander'
import { type Catalog, loadVerb } from '../../contract/command.ts'
import { type FixRequest, SwarmError } from '../../contract/errors.ts'
import { parseVerb } from './parse.ts'
import { quiet } from './verb.ts'

export const FORMATS = ['json', 'table'] as const
export type Format = (typeof FORMATS)[number]

/** What a command line asks for. */
export type Intent = { readonly format: Format } & (
  | { readonly kind: 'version' }
  | { readonly kind: 'help'; readonly verb: string | undefined }
  | { readonly kind: 'run'; readonly request: FixRequest }
)

/** A command line that cannot be carried out, and how to say so. */
export interface Refused {
  readonly kind: 'refused'
  readonly error: SwarmError
  readonly format: Format
}

/** Reads a whole command line; only the verb that it names is loaded. */
export async function readCommandLine(
  catalog: Catalog,
  argv: readonly string[],
  stdin: () => Promise<string>,
): Promise<Intent | Refused> {
  const head = readHead(argv)
  const format = isFormat(head.format) ? head.format : 'json'
  const refused = (error: SwarmError): Refused => ({ kind: 'refused', error, format })
  if (head.format !== undefined && !isFormat(head.format)) return refused(badFormat(head.format))
  if (head.unknown !== undefined) return refused(badOption(head.unknown))
  if (head.version) return { kind: 'version', format }
  const [word, ...words] = head.words
  if (head.help || word === undefined) return { kind: 'help', verb: word, format }
  if (word === 'help' || word === '?') return readHelp(words, format)
  const definition = await loadVerb(catalog, word)
  if (!definition) return refused(await (await mistakes()).refuseVerb(catalog, word, words))
  let parsed: Awaited<ReturnType<typeof parseVerb>>
  try {
    parsed = await parseVerb(definition, words, stdin)
  } catch (error) {
    if (error instanceof SwarmError) return refused(error)
    throw error
  }
  const own = parsed.format ?? format
  if (!isFormat(own)) return refused(badFormat(own))
  if (parsed.help) return { kind: 'help', verb: definition.name, format: own }
  if (parsed.mistake) {
    const { refuseLine } = await mistakes()
    return { ...refused(refuseLine(definition, words, parsed, parsed.mistake)), format: own }
  }
  return { kind: 'run', request: parsed.request, format: own }
}

/** Explaining mistakes is loaded when there is one. */
function mistakes() {
  return import('./mistakes.ts')
}

interface Head {
  readonly format?: string | undefined
  readonly version: boolean
  readonly help: boolean
  readonly unknown?: string | undefined
  readonly words: readonly string[]
}

/** Flags before the verb; from the verb on, all words are the verb's. */
function readHead(argv: readonly string[]): Head {
  const program = quiet(new Command('swarm'))
    .passThroughOptions()
    .option('--format <format>')
    .option('-V, --version')
    .option('-v')
    .option('-h, --help')
    .helpOption(false)
  try {
    const { operands, unknown } = program.parseOptions([...argv])
    const { format, version, v, help } = program.opts<Record<string, string | boolean>>()
    return {
      format: typeof format === 'string' ? format : undefined,
      version: Boolean(version ?? v),
      help: Boolean(help),
      unknown: unknown[0],
      words: operands,
    }
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return { format: '', version: false, help: false, words: [] }
  }
}

function readHelp(words: readonly string[], format: Format): Intent {
  const at = words.indexOf('--format')
  const asked = at < 0 ? undefined : words[at + 1]
  const rest = asked === undefined ? words : [...words.slice(0, at), ...words.slice(at + 2)]
  const verb = rest.map((word) => word.replace(/^--verb=/, '')).find((word) => !word.startsWith('-'))
  return { kind: 'help', verb, format: isFormat(asked) ? asked : format }
}

function isFormat(text: string | undefined): text is Format {
  return FORMATS.some((format) => format === text)
}

function badFormat(got: string): SwarmError {
  return new SwarmError('CLI_ERROR', `--format is ${FORMATS.join(' or ')}`, {
    ctx: { kind: 'InvalidValue', field: '--format', expected: FORMATS.join(' or '), got: got.slice(0, 80) },
    fix: { cmd: 'help' },
  })
}

function badOption(word: string): SwarmError {
  const name = (word.split('=', 1)[0] ?? '').slice(0, 80)
  return new SwarmError('CLI_ERROR', `${name} is no flag of swarm itself; flags of a command come after it`, {
    ctx: { kind: 'UnknownField', field: name, expected: '--format, --version or --help', got: name },
    fix: { cmd: 'help' },
  })
}
