import type { FixRequest } from '../../contract/errors.ts'
import { isJsonObject, type Json } from '../../contract/json.ts'
import { LOOKS_LIKE_JSON, NUMBER } from './values.ts'

/**
 * A request as a shell command that asks for the same: `swarm claim-next --agent-id 3`. It knows no schema, so whatever a flag
 * could say in two ways goes into `--json`. A list of one is a flag given once, which a field that takes one or many
 * reads as the one. A list named `command` is what a verb runs: it comes last, after `--`.
 */
export function renderShell(request: FixRequest): string {
  const words = ['swarm', quote(request.cmd)]
  const rest: Record<string, Json> = {}
  const command = commandOf(request)
  for (const [name, value] of Object.entries(request)) {
    if (name === 'cmd' || value === undefined || (command && name === 'command')) continue
    const flags = FIELD.test(name) && !OWN.has(name) ? flagsOf(name, value) : undefined
    if (flags) words.push(...flags)
    else Object.defineProperty(rest, name, { value, enumerable: true })
  }
  if (Object.keys(rest).length > 0) words.push('--json', quote(jsonText(rest)))
  if (command) words.push('--', ...command.map(quote))
  return words.join(' ')
}

/** A command to be run comes last, as it would be typed; its words are read by nobody. */
function commandOf({ command }: FixRequest): readonly string[] | undefined {
  const isList = typeof command === 'object' && command !== null && !isJsonObject(command)
  return isList && command.length > 0 && command.every(isWord) ? command : undefined
}

function isWord(value: Json): value is string {
  return typeof value === 'string' && !UNPRINTABLE.test(value)
}

/** The flag of a field: `agent_id` is `--agent-id`. */
export function flagOf(name: string): string {
  return `--${name.replaceAll('_', '-')}`
}

const FIELD = /^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$/
/** Flags that the command line takes for itself. */
const OWN = new Set(['json', 'format', 'help', 'version'])
const WORDS = new Set(['true', 'false', 'null'])
/** Control characters and lone surrogates: not for a command line, and not as they are in JSON either. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u

function flagsOf(name: string, value: Json): string[] | undefined {
  const flag = flagOf(name)
  if (typeof value === 'boolean') return [value ? flag : flag.replace('--', '--no-')]
  if (isScalar(value)) return scalarFlag(flag, value)
  if (isJsonObject(value)) return [flag, quote(jsonText(value))]
  if (typeof value !== 'object' || value === null || value.length === 0) return undefined
  if (value.every(isJsonObject)) return [flag, quote(jsonText(value))]
  return value.every(isScalar) ? value.flatMap((item) => scalarFlag(flag, item)) : undefined
}

function scalarFlag(flag: string, value: string | number): string[] {
  const text = String(value)
  return text.startsWith('-') ? [quote(`${flag}=${text}`)] : [flag, quote(text)]
}

/** Numbers, and text that no field reads as anything else. */
function isScalar(value: Json): value is string | number {
  if (typeof value === 'number') return true
  if (typeof value !== 'string' || UNPRINTABLE.test(value)) return false
  return !NUMBER.test(value) && !WORDS.has(value) && !LOOKS_LIKE_JSON.test(value)
}

function jsonText(value: Json): string {
  return JSON.stringify(value).replace(
    /\p{Cc}/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** One word of a shell command. */
export function quote(text: string): string {
  return /^[A-Za-z0-9_@:,./+-][A-Za-z0-9_@:,./+=-]*$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
