import { z } from 'zod'
import { type AnyCommand, type Catalog, defineCommand } from '../../src/contract/command.ts'
import { label, metadata, priority } from '../../src/contract/fields.ts'

/** A verb with a field of every shape that verbs have. */
export const every = defineCommand({
  name: 'every-shape',
  aliases: ['every'],
  group: 'other',
  summary: 'takes one field of every shape',
  input: z.strictObject({
    agent_id: z.int().min(1).describe('a whole number'),
    ratio: z.number().optional(),
    title: z.string().optional().describe('any text'),
    outcome: z.enum(['passed', 'failed', 'error']).optional(),
    unread: z.boolean().default(true).describe('only unread ones'),
    peek: z.boolean().optional(),
    priority: priority.optional(),
    to: z.union([z.int(), z.string(), z.array(z.int())]).optional(),
    labels: z.array(label).optional(),
    ids: z.array(z.int()).optional(),
    beads: z.array(z.strictObject({ title: z.string(), priority: priority.optional() })).optional(),
    metadata: metadata.optional(),
  }),
  output: z.object({}),
  effect: 'write',
  errors: ['NOTFOUND'],
  positional: ['agent_id', 'labels'],
  fieldAliases: { agent: 'agent_id' },
  examples: [{ in: { cmd: 'every-shape', agent_id: 3, labels: ['a', 'b c'] }, out: {} }],
  run: async () => ({}),
})

export const plain = defineCommand({
  name: 'claim-next',
  group: 'loop',
  summary: 'take the first ready bead',
  input: z.strictObject({ agent_id: z.int().min(1), require: z.boolean().optional() }),
  output: z.object({}),
  effect: 'read',
  errors: [],
  examples: [],
  run: async () => ({}),
})

/** A verb whose own field has the name of one of the command line's flags. */
export const importer = defineCommand({
  name: 'import',
  group: 'set up',
  summary: 'read a backlog',
  input: z.strictObject({ path: z.string(), format: z.string().optional() }),
  output: z.object({}),
  effect: 'write',
  errors: [],
  positional: ['path'],
  examples: [],
  run: async () => ({}),
})

// safe: what the registry hands out is erased in the same way
const commands = [every, plain, importer] as unknown as readonly AnyCommand[]

export const catalog: Catalog & { readonly loaded: string[] } = {
  loaded: [],
  verbs: commands.map(({ name, summary, group, aliases = [] }) => ({ name, summary, group, aliases })),
  loaders: Object.fromEntries(
    commands.flatMap((command) =>
      [command.name, ...(command.aliases ?? [])].map((word) => [
        word,
        async () => {
          catalog.loaded.push(command.name)
          return command
        },
      ]),
    ),
  ),
}

/** Cuts a command line into words as a POSIX shell does, as far as this project's own quoting goes. */
export function shellWords(line: string): string[] {
  const words: string[] = []
  let word: string | undefined
  for (let at = 0; at < line.length; at += 1) {
    const char = line[at]
    if (char === "'") {
      const end = line.indexOf("'", at + 1)
      word = (word ?? '') + line.slice(at + 1, end)
      at = end
    } else if (char === '\\') {
      at += 1
      word = (word ?? '') + (line[at] ?? '')
    } else if (char === ' ') {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? '') + char
  }
  return word === undefined ? words : [...words, word]
}
