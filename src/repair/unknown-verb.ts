import type { AnyCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'
import type { Defaults } from '../contract/try-parse.ts'
import { asFix } from './explain.ts'
import { plain, ranked } from './nearest.ts'
import { repair } from './request.ts'
import { meaningsOfVerb } from './synonyms.ts'
import { kindOf, shown } from './wording.ts'

/** What a list of verbs knows of each. */
export interface VerbName {
  readonly name: string
  readonly aliases: readonly string[]
}

/** The request that lists the verbs. */
const DESCRIBE = { cmd: 'describe' }

/** Keys under which a verb is sent by mistake. */
const CMD_KEYS = ['command', 'action', 'op', 'verb', 'method', 'tool', 'name', 'type', 'operation'] as const

/**
 * The error for a request whose verb is missing or unknown: `fix` is the whole request under the verb that was
 * probably meant, its fields repaired for that verb. `load` gives the command of a verb.
 */
export async function unknownVerb(
  raw: JsonObject,
  verbs: readonly VerbName[],
  load: (verb: string) => Promise<AnyCommand> | undefined,
  defaults: Defaults = {},
): Promise<SwarmError> {
  const { cmd, ...fields } = raw
  const names = verbs.flatMap((verb) => [verb.name, ...verb.aliases])
  if (cmd === undefined || cmd === null) return missing(fields, verbs, names, load, defaults)
  if (typeof cmd !== 'string') {
    const ctx = { kind: 'InvalidType', field: 'cmd', expected: 'a verb', got: shown('cmd', cmd) }
    return new SwarmError('INVALID', `cmd must be a verb, not ${kindOf(cmd)}; describe lists them`, {
      ctx,
      fix: DESCRIBE,
    })
  }
  const near = nearestVerbs(cmd, verbs)
  const [best] = near
  const hint = best === undefined ? 'describe lists them' : `did you mean ${near.join(' or ')}?`
  const repaired = best === undefined ? { fix: DESCRIBE } : await repairAs(best, fields, load, defaults)
  const word = String(shown('cmd', cmd))
  return new SwarmError(
    'INVALID',
    word.trim() === '' ? `cmd must not be blank; ${hint}` : `there is no verb ${word}; ${hint}`,
    {
      ctx: {
        kind: 'InvalidValue',
        field: 'cmd',
        expected: near.length > 0 ? near.join(', ') : 'a verb',
        got: word,
        ...(best === undefined ? {} : { nearest: best }),
      },
      ...repaired,
    },
  )
}

async function missing(
  fields: JsonObject,
  verbs: readonly VerbName[],
  names: readonly string[],
  load: (verb: string) => Promise<AnyCommand> | undefined,
  defaults: Defaults,
): Promise<SwarmError> {
  const ctx = { kind: 'MissingField', field: 'cmd', expected: 'a verb' }
  const key = CMD_KEYS.find(
    (name) => typeof fields[name] === 'string' && nearestVerbs(String(fields[name]), verbs).length > 0,
  )
  if (key === undefined) {
    return new SwarmError('INVALID', 'cmd is missing: it must be a verb; describe lists them', {
      ctx,
      fix: DESCRIBE,
    })
  }
  const { [key]: word, ...rest } = fields
  const [verb = ''] = names.includes(String(word)) ? [String(word)] : nearestVerbs(String(word), verbs)
  return new SwarmError('INVALID', `cmd is missing: the verb goes there, not in ${key}`, {
    ctx: { ...ctx, got: `${key}: ${shown(key, String(word))}`, nearest: verb },
    ...(await repairAs(verb, rest, load, defaults)),
  })
}

/** Up to three verbs that may be meant by a word, the likeliest first. */
function nearestVerbs(word: string, verbs: readonly VerbName[]): readonly string[] {
  const names = verbs.flatMap((verb) => [verb.name, ...verb.aliases])
  const key = plain(word.replace(/^\s*swarm\s+/, ''))
  const spelt = names.find((name) => plain(name) === key)
  if (spelt !== undefined) return [spelt]
  const meant = meaningsOfVerb(key).filter((name) => names.includes(name))
  return meant.length > 0 ? meant.slice(0, 1) : ranked(key, names, 3)
}

async function repairAs(
  verb: string,
  fields: JsonObject,
  load: (verb: string) => Promise<AnyCommand> | undefined,
  defaults: Defaults,
) {
  const command = await load(verb)
  return command ? asFix(repair(command, { ...fields, cmd: verb }, defaults)) : {}
}
