import type { AnyCommand } from '../../contract/command.ts'
import { describeFields } from '../../contract/introspect.ts'
import type { Json, JsonObject } from '../../contract/json.ts'
import { cutCommand } from './flags.ts'

/** `--agent-id`, `--agentId` and `agent-id` as the name of a field. */
export function fieldName(word: string): string {
  return word
    .replace(/^-+/, '')
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll('-', '_')
    .toLowerCase()
}

/**
 * A command line with mistakes as a request with mistakes: for the contract to repair and propose, never to run. Flags become fields
 * under whatever name they have, `agent_id=3` too; words without a flag go to the verb's positional fields, then to the
 * required ones that are still missing.
 */
export function roughRequest(definition: AnyCommand, words: readonly string[]): JsonObject {
  const { words: read, command } = cutCommand(definition, words)
  const request: Record<string, Json> = {}
  const operands: string[] = []
  const own = describeFields(definition.input)
  const isSwitch = (name: string) =>
    name === 'dry' || own.some((field) => field.name === name && field.type === 'boolean')

  function set(name: string, value: string | boolean): void {
    const before = request[name]
    const field = OWN.has(name) && !own.some((one) => one.name === name) ? undefined : name
    if (field === undefined || field === '__proto__') return
    if (before === undefined) request[name] = value
    else request[name] = [...(Array.isArray(before) ? before : [before]), value]
  }

  for (let at = 0; at < read.length; at += 1) {
    const word = read[at] ?? ''
    const [, dashes = '', name = '', equals, value = ''] =
      /^(-{0,2})([A-Za-z_][\w-]*)(?:(=)([\s\S]*))?$/.exec(word) ?? []
    const field = fieldName(name)
    if (equals !== undefined) set(field, value)
    else if (dashes === '') operands.push(word)
    else if (field.startsWith('no_') && !own.some((one) => one.name === field)) set(field.slice(3), false)
    else if (isSwitch(field) || isFlag(read[at + 1])) set(field, true)
    else {
      at += 1
      set(field, read[at] ?? '')
    }
  }

  if (command) request.command = command
  const places = [
    ...(definition.positional ?? []),
    ...own.filter(({ required }) => required).map(({ name }) => name),
  ]
  for (const name of new Set(places)) {
    const [operand] = operands
    if (operand === undefined) break
    if (request[name] !== undefined) continue
    request[name] = operand
    operands.shift()
  }
  return request
}

/** Flags of the command line itself: no fields. */
const OWN = new Set(['json', 'format', 'help', 'h'])

/** True where no value follows a flag: at the end of the line, or before the next flag. */
function isFlag(word: string | undefined): boolean {
  return word === undefined || /^--?[A-Za-z]/.test(word)
}
