import { CommanderError } from 'commander'
import type { AnyCommand } from '../../contract/command.ts'
import { type FixRequest, SwarmError } from '../../contract/errors.ts'
import type { Shape } from '../../contract/introspect.ts'
import { isJsonObject, type Json, type JsonObject } from '../../contract/json.ts'
import { changedInteger } from '../../wire/integers.ts'
import { cutCommand, type FlagField } from './flags.ts'
import { NotJson, readFlag } from './values.ts'
import { buildVerb, type VerbParser } from './verb.ts'

/** What is wrong with the words after a verb. */
export type Mistake =
  | { readonly kind: 'unknown-flag'; readonly word: string }
  | { readonly kind: 'no-value'; readonly word: string }
  | { readonly kind: 'excess'; readonly word: string }
  /** `lost` is the field whose value could not even be guessed. */
  | {
      readonly kind: 'not-json'
      readonly flag: string
      readonly problem: string
      readonly lost: string | undefined
    }

export interface ParsedVerb {
  /** What could be read, also when there is a mistake. */
  readonly request: FixRequest
  readonly fields: readonly FlagField[]
  readonly format: string | undefined
  readonly help: boolean
  readonly mistake: Mistake | undefined
}

/**
 * Reads the words after a verb as a request: flags over positional words over `--json`; what stands after `--` is the command of a
 * verb that runs one. `stdin` is read when `--json -` asks for it. Types are left to the contract; only what is no command
 * line at all is a mistake here. Throws INVALID for an integer that would be changed.
 */
export async function parseVerb(
  definition: AnyCommand,
  words: readonly string[],
  stdin: () => Promise<string>,
): Promise<ParsedVerb> {
  const parser = buildVerb(definition)
  const { fields, given } = parser
  const { words: own, command } = cutCommand(definition, words)
  const split = splitWords(parser, own)
  const operands = placeOperands(definition, fields, split.operands, command !== undefined)
  let mistake = split.mistake ?? operands.mistake
  const note = (flag: string, field: string, { value, problem }: Reading<Json>): void => {
    const lost = value === undefined ? field : undefined
    if (problem !== undefined) mistake ??= { kind: 'not-json', flag, problem, lost }
  }
  const json = given.get('--json')?.at(-1)
  const whole = json === undefined ? {} : readWhole(definition.name, json === '-' ? await stdin() : json)
  note('--json', 'json', whole)
  const values: Record<string, Json> = {}
  for (const { field, flag } of fields) {
    const texts = given.get(field.name) ?? operands.given.get(field.name)
    if (!texts) continue
    const reading = within(field.name, () => readRepairing(field, texts))
    note(flag, field.name, reading)
    if (reading.value !== undefined) values[field.name] = reading.value
  }
  if (command) {
    if (values.command !== undefined) mistake ??= { kind: 'excess', word: '--command' }
    values.command = command
  }
  return {
    request: { ...whole.value, ...values, cmd: definition.name },
    fields,
    format: given.get('--format')?.at(-1),
    help: split.help,
    mistake,
  }
}

function splitWords(
  parser: VerbParser,
  words: readonly string[],
): { operands: readonly string[]; help: boolean; mistake?: Mistake } {
  try {
    const { operands, unknown } = parser.command.parseOptions([...words])
    const help = unknown.some((word) => word === '--help' || word === '-h')
    const [word] = unknown
    return { operands, help, ...(word === undefined ? {} : { mistake: { kind: 'unknown-flag', word } }) }
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    // the one thing that commander itself refuses here: the last flag lacks its value
    return { operands: [], help: false, mistake: { kind: 'no-value', word: words.at(-1) ?? '' } }
  }
}

function placeOperands(
  definition: AnyCommand,
  fields: readonly FlagField[],
  operands: readonly string[],
  hasCommand: boolean,
): { given: ReadonlyMap<string, readonly string[]>; mistake?: Mistake } {
  const given = new Map<string, readonly string[]>()
  let rest = operands
  for (const name of definition.positional ?? []) {
    if (rest.length === 0) break
    if (hasCommand && name === 'command') continue
    const isList = fields.find(({ field }) => field.name === name)?.field.type === 'array'
    given.set(name, isList ? rest : rest.slice(0, 1))
    rest = isList ? [] : rest.slice(1)
  }
  const [word] = rest
  return word === undefined ? { given } : { given, mistake: { kind: 'excess', word } }
}

interface Reading<T> {
  readonly value?: T
  readonly problem?: string
}

/** The value of a flag; where its JSON is wrong but clear, the value that was meant, with the problem. */
function readRepairing(shape: Shape, texts: readonly string[]): Reading<Json> {
  try {
    return { value: readFlag(shape, texts) }
  } catch (error) {
    if (!(error instanceof NotJson)) throw error
    const { meant, text, message } = error
    if (meant === undefined || changedInteger(text, meant)) return { problem: message }
    const repaired = texts.map((one) => (one === text ? JSON.stringify(meant) : one))
    return { ...readRepairing(shape, repaired), problem: message }
  }
}

/** What is wrong in the value of a flag is named by the flag's field. */
function within<T>(field: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof SwarmError)) throw error
    const inner = String(error.ctx.field)
    const path = `${field}${inner.startsWith('[') ? '' : '.'}${inner}`
    throw error.with({ message: error.message.replace(inner, path), ctx: { ...error.ctx, field: path } })
  }
}

function readWhole(cmd: string, text: string): Reading<JsonObject> {
  const { value, problem } = readRepairing({ type: 'object' }, [text])
  const trouble = problem === undefined ? {} : { problem }
  if (value === undefined) return trouble
  if (!isJsonObject(value)) return { problem: 'not a JSON object' }
  if (value.cmd !== undefined && value.cmd !== cmd)
    return { value, problem: `it is a request for another command than ${cmd}` }
  return { value, ...trouble }
}
