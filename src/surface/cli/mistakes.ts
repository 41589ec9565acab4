import { type AnyCommand, type Catalog, loadVerb } from '../../contract/command.ts'
import { SwarmError, type SwarmErrorOptions } from '../../contract/errors.ts'
import type { JsonObject } from '../../contract/json.ts'
import { maskSecrets } from '../../contract/secrets.ts'
import { asFix } from '../../repair/explain.ts'
import { suggest } from '../../repair/names.ts'
import { repair } from '../../repair/request.ts'
import { unknownVerb } from '../../repair/unknown-verb.ts'
import type { Mistake, ParsedVerb } from './parse.ts'
import { flagOf } from './render.ts'
import { fieldName, roughRequest } from './rough.ts'

/** The refusal of words that are no command line of this verb, with the corrected command as fix. */
export function refuseLine(
  definition: AnyCommand,
  words: readonly string[],
  parsed: ParsedVerb,
  mistake: Mistake,
): SwarmError {
  const verb = definition.name
  const request = mistake.kind === 'not-json' ? parsed.request : roughRequest(definition, words)
  const lost = mistake.kind === 'not-json' && mistake.lost !== 'json' ? mistake.lost : undefined
  const mended = fixOf(definition, request, lost)
  switch (mistake.kind) {
    case 'unknown-flag': {
      const [name = ''] = shown(mistake.word).split('=', 1)
      const nearest = nearestFlag(definition, parsed, name, request)
      const isKnown = nearest === name
      const hint = nearest === undefined ? '' : `; did you mean ${nearest}?`
      return new SwarmError(
        'CLI_ERROR',
        isKnown ? `${name} takes no value` : `${verb} has no flag ${name}${hint}`,
        {
          ctx: {
            kind: isKnown ? 'InvalidValue' : 'UnknownField',
            field: name,
            expected: nearest ?? `a flag of swarm ${verb} --help`,
            got: name,
          },
          ...mended,
        },
      )
    }
    case 'no-value':
      return new SwarmError('CLI_ERROR', `${shown(mistake.word)} needs a value`, {
        ctx: { kind: 'MissingField', field: shown(mistake.word), expected: 'a value', got: 'nothing' },
        ...mended,
      })
    case 'excess':
      return new SwarmError('CLI_ERROR', `${verb} has no place for the word ${shown(mistake.word)}`, {
        ctx: { kind: 'Custom', field: 'arguments', expected: usage(definition), got: shown(mistake.word) },
        ...mended,
      })
    case 'not-json':
      return new SwarmError('CLI_ERROR', `${mistake.flag}: ${mistake.problem}`, {
        ctx: { kind: 'InvalidType', field: mistake.flag, expected: 'JSON', got: 'text that is not JSON' },
        ...mended,
      })
  }
}

/** The refusal of a word that is no verb, with the whole command corrected. */
export async function refuseVerb(
  catalog: Catalog,
  word: string,
  words: readonly string[],
): Promise<SwarmError> {
  const load = (verb: string) => catalog.loaders[verb]?.()
  const joined = await loadVerb(catalog, `${word}-${words[0]}`)
  const { message, ctx } = await unknownVerb({ cmd: shown(joined?.name ?? word) }, catalog.verbs, load)
  const { nearest, needs: _, ...rest } = ctx
  const definition = joined ?? (typeof nearest === 'string' ? await loadVerb(catalog, nearest) : undefined)
  if (!definition) return new SwarmError('CLI_ERROR', message, { ctx: rest, fix: { cmd: 'help' } })
  const { name } = definition
  const fix = fixOf(definition, roughRequest(definition, joined ? words.slice(1) : words))
  if (!joined) return new SwarmError('CLI_ERROR', message, { ctx: { ...rest, nearest: name }, ...fix })
  return new SwarmError('CLI_ERROR', `there is no verb ${shown(word)}; did you mean ${name}?`, {
    ctx: { kind: 'InvalidValue', field: 'cmd', expected: name, got: shown(word), nearest: name },
    ...fix,
  })
}

/** Words are quoted back only as far as they hold no secret. */
export function shown(word: string): string {
  return maskSecrets(word).slice(0, 80)
}

function fixOf(
  definition: AnyCommand,
  request: JsonObject,
  lost?: string,
): Pick<SwarmErrorOptions, 'fix' | 'needs'> {
  const { fix = { cmd: 'help', verb: definition.name }, needs = [] } = asFix(
    repair(definition, { ...request, cmd: definition.name }),
  )
  return { fix, needs: lost === undefined || needs.includes(lost) ? needs : [...needs, lost] }
}

function nearestFlag(
  { fieldAliases }: AnyCommand,
  { fields }: ParsedVerb,
  name: string,
  request: JsonObject,
): string | undefined {
  const field = fieldName(name)
  const found = suggest(
    field,
    request[field] ?? true,
    fields.map((one) => one.field),
    fieldAliases,
  )
  return found && flagOf(found.name)
}

function usage({ name, positional = [] }: AnyCommand): string {
  return ['swarm', name, ...positional.map((field) => `[${field}]`), '--flags'].join(' ')
}
