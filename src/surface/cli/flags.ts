import type { AnyCommand } from '../../contract/command.ts'
import { commonFields, writeFields } from '../../contract/common.ts'
import { describeFields, type FieldInfo } from '../../contract/introspect.ts'
import { flagOf } from './render.ts'

/** A field of a verb as the command line knows it. */
export interface FlagField {
  readonly field: FieldInfo
  readonly flag: string
  /** True for another name of a field: understood, not shown. */
  readonly alias: boolean
  /** True for a field that every verb has. */
  readonly common: boolean
}

/** Every field that a verb takes, its own first; all of it is read from the definition. */
export function flagFields(definition: AnyCommand): readonly FlagField[] {
  const own = describeFields(definition.input)
  const aliases = Object.entries(definition.fieldAliases ?? {}).flatMap(([alias, name]) => {
    const field = own.find((one) => one.name === name)
    return field ? [{ ...field, name: alias, required: false }] : []
  })
  const common = [
    ...describeFields(commonFields),
    ...(definition.effect === 'read' ? [] : describeFields(writeFields)),
  ]
  const taken = new Set(['cmd'])
  const fields: FlagField[] = []
  const add = (list: readonly FieldInfo[], kind: { alias: boolean; common: boolean }): void => {
    for (const field of list) {
      if (taken.has(field.name)) continue
      taken.add(field.name)
      fields.push({ field, flag: flagOf(field.name), ...kind })
    }
  }
  add(own, { alias: false, common: false })
  add(common, { alias: false, common: true })
  add(aliases, { alias: true, common: false })
  return fields
}

/** Words cut at `--`. */
export interface CutWords {
  readonly words: readonly string[]
  /** What stands after `--`, word for word; only for a verb that runs a command. */
  readonly command?: readonly string[]
}

/** Cuts the words of a verb that runs a command at `--`: what follows is the command, not for swarm to read. */
export function cutCommand(definition: AnyCommand, words: readonly string[]): CutWords {
  const at = words.indexOf('--')
  if (at < 0 || !describeFields(definition.input).some(isCommand)) return { words }
  return { words: words.slice(0, at), command: words.slice(at + 1) }
}

function isCommand({ name, type }: FieldInfo): boolean {
  return name === 'command' && type === 'array'
}
