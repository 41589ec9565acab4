import { Command, Option } from 'commander'
import type { AnyCommand } from '../../contract/command.ts'
import type { FieldInfo } from '../../contract/introspect.ts'
import { type FlagField, flagFields } from './flags.ts'

/** A verb's commander Command with what it collects. */
export interface VerbParser {
  readonly command: Command
  readonly fields: readonly FlagField[]
  /** Texts given for fields, in the order given; a boolean is `true` or `false`. */
  readonly given: ReadonlyMap<string, string[]>
}

/** What the command line takes for itself, unless the verb has a field of that name. */
export const OWN_FLAGS = [
  {
    name: 'json',
    flags: '--json <object>',
    description: 'fields as a JSON object, - for stdin; flags win over it',
  },
  { name: 'format', flags: '--format <format>', description: 'json (an envelope) or table (for people)' },
] as const

/** Builds the Command of one verb from its definition. */
export function buildVerb(definition: AnyCommand): VerbParser {
  const given = new Map<string, string[]>()
  const take = (name: string, text: string): string => {
    given.set(name, [...(given.get(name) ?? []), text])
    return text
  }
  const command = quiet(new Command(definition.name)).description(definition.summary)
  const fields = flagFields(definition)
  for (const { field, flag, alias } of fields) {
    if (field.type === 'boolean') {
      command.addOption(new Option(flag, describe(field)).hideHelp(alias || field.default === true))
      command.addOption(
        new Option(flag.replace('--', '--no-'), describe(field)).hideHelp(alias || field.default !== true),
      )
      command.on(`option:${flag.slice(2)}`, () => take(field.name, 'true'))
      command.on(`option:no-${flag.slice(2)}`, () => take(field.name, 'false'))
    } else {
      const option = new Option(`${flag} <${placeholder(field)}>`, describe(field)).hideHelp(alias)
      command.addOption(option.argParser((text) => take(field.name, text)))
    }
  }
  for (const { name, flags, description } of OWN_FLAGS) {
    if (fields.some(({ field }) => field.name === name)) continue
    command.addOption(new Option(flags, description).argParser((text) => take(`--${name}`, text)))
  }
  for (const name of definition.positional ?? []) {
    const field = fields.find((one) => one.field.name === name)?.field
    command.argument(field?.type === 'array' ? `[${name}...]` : `[${name}]`)
  }
  return { command, fields, given }
}

/** A Command that throws instead of printing and leaving. */
export function quiet(command: Command): Command {
  return command
    .exitOverride()
    .helpCommand(false)
    .configureOutput({ writeOut: () => {}, writeErr: () => {} })
}

function placeholder(field: FieldInfo): string {
  const shape = field.type === 'array' ? field.items : field
  switch (shape?.type) {
    case 'integer':
    case 'number':
      return 'number'
    case 'object':
    case 'array':
      return 'json'
    case 'enum':
      return shape.values && shape.values.length <= 5 ? shape.values.join('|') : 'name'
    default:
      return 'text'
  }
}

/** The field's own description, then what is not said by its placeholder. */
function describe(field: FieldInfo): string {
  const notes = [
    ...(field.required ? ['required'] : []),
    ...(field.type === 'array' ? ['repeatable'] : []),
    ...(field.values && field.values.length > 5 ? [`one of ${field.values.join(', ')}`] : []),
    ...(field.default === undefined ? [] : [`default ${JSON.stringify(field.default)}`]),
  ]
  const text = field.description ?? ''
  if (notes.length === 0) return text
  return text === '' ? notes.join(', ') : `${text} (${notes.join(', ')})`
}
