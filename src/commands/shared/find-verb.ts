import type { AnyCommand } from '../../contract/command.ts'
import { SwarmError } from '../../contract/errors.ts'
import { loaders, verbs } from '../registry.ts'

/** Loads the command of a verb, or of another name of it, for a request that asks about it. Unknown: INVALID with the nearest. */
export async function findVerb(word: string, cmd: string): Promise<AnyCommand> {
  const load = Object.hasOwn(loaders, word) ? loaders[word] : undefined
  if (load) return load()
  const { closest } = await import('../../contract/nearest.ts')
  const names = verbs.map((verb) => verb.name)
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
