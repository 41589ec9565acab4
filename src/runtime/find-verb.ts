import { type AnyCommand, type Catalog, loadVerb } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'

/** Loads the command of a verb, or of another name of it, for a request that asks about it. Unknown: INVALID with the nearest. */
export async function findVerb(catalog: Catalog, word: string, cmd: string): Promise<AnyCommand> {
  const found = loadVerb(catalog, word)
  if (found) return found
  const { closest } = await import('../repair/nearest.ts')
  const names = catalog.verbs.map((verb) => verb.name)
  const nearest = closest(word, names)
  throw new SwarmError('INVALID', `there is no verb ${word}${nearest ? `; did you mean ${nearest}?` : ''}`, {
    ctx: {
      kind: 'InvalidValue',
      field: 'verb',
      expected: 'a verb',
      got: word,
      ...(nearest ? { nearest } : {}),
    },
    fix: nearest ? { cmd, verb: nearest } : { cmd },
  })
}
