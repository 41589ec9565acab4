import type * as z from 'zod'
import type { AnyCommand } from './command.ts'
import { type CommonFields, commonFields, type WriteFields, writeFields } from './common.ts'
import type { Json, JsonObject } from './json.ts'

/** A request whose fields are right. */
export interface Parsed {
  readonly common: CommonFields
  readonly write: WriteFields
  /** The verb's own fields, as its schema gives them out. */
  readonly input: Record<string, unknown>
}

/** What the environment fills in where a request is silent. */
export interface Defaults {
  readonly agent_id?: number
  readonly repo?: string
}

export type Issue = z.core.$ZodIssue

type Attempt = { readonly parsed: Parsed } | { readonly issues: readonly Issue[] }

/** A request taken apart: which fields are whose, under the names that the schemas know. */
interface Split {
  readonly common: Record<string, Json>
  readonly write: Record<string, Json>
  readonly own: Record<string, Json>
}

/** Parses a request, or lists what zod finds wrong with it. */
export function tryParse(command: AnyCommand, raw: JsonObject, defaults: Defaults = {}): Attempt {
  const split = splitFields(command, raw, defaults)
  const common = commonFields.safeParse(split.common)
  const write = writeFields.safeParse(split.write)
  const input = command.input.safeParse(split.own)
  if (common.success && write.success && input.success) {
    return { parsed: { common: common.data, write: write.data, input: input.data } }
  }
  return {
    issues: [...(common.error?.issues ?? []), ...(write.error?.issues ?? []), ...(input.error?.issues ?? [])],
  }
}

/** Takes a request apart, resolves other names of fields and fills in the defaults. */
export function splitFields(command: AnyCommand, raw: JsonObject, defaults: Defaults): Split {
  const { shape } = command.input
  const aliases = command.fieldAliases ?? {}
  const split: Split = { common: {}, write: {}, own: {} }
  for (const name of Object.keys(raw)) {
    const value = raw[name]
    if (value === undefined) continue
    if (Object.hasOwn(shape, name)) set(split.own, name, value)
    else if (Object.hasOwn(commonFields.shape, name)) set(split.common, name, value)
    else if (command.effect !== 'read' && Object.hasOwn(writeFields.shape, name))
      set(split.write, name, value)
    else set(split.own, aliasOf(aliases, name, raw) ?? name, value)
  }
  if (defaults.repo !== undefined) split.common.repo ??= defaults.repo
  const agent = Object.hasOwn(shape, 'agent_id') ? 'agent_id' : aliases.agent_id
  if (defaults.agent_id !== undefined && agent !== undefined && isOurs(command, agent)) {
    split.own[agent] ??= defaults.agent_id
  }
  return split
}

/** The name that an alias stands for, unless that one is given too: then the alias stays, and is refused. */
export function aliasOf(
  aliases: Readonly<Record<string, string>>,
  name: string,
  raw: JsonObject,
): string | undefined {
  const target = Object.hasOwn(aliases, name) ? aliases[name] : undefined
  return target !== undefined && raw[target] === undefined ? target : undefined
}

/** Whether an absent agent means the caller. In a read it does so only where it is required: else it is a filter. */
function isOurs(command: AnyCommand, field: string): boolean {
  if (command.speakers && !command.speakers.includes(field)) return false
  return command.effect !== 'read' || command.input.shape[field]?._zod.optin === undefined
}

/** Assigns even a name like `__proto__` as a key of its own, so that it is refused like any other unknown name. */
function set(target: Record<string, Json>, name: string, value: Json): void {
  if (name === '__proto__') Object.defineProperty(target, name, { value, enumerable: true })
  else target[name] = value
}
