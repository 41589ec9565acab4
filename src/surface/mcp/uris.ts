import type { Json } from '../../contract/json.ts'

export const STATUS_URI = 'swarm://status'

/** What stands at a URI: one bead, one run, or the log of one session. */
export const KINDS = ['bead', 'run', 'log'] as const
export type Kind = (typeof KINDS)[number]

/** Types of the events after which other beads may be at work: those are the ones that are listed. */
export const LIST_EVENTS = /^(?:bead_claimed|bead_released|bead_complete|lease_expired|transition_\w+)$/

/** The URI of a thing by its id; undefined for what is no id. */
export function uriOf(kind: Kind, id: Json | undefined): string | undefined {
  return typeof id === 'string' ? `swarm://${kind}/${encodeURIComponent(id)}` : undefined
}

/** What a URI names; undefined for one that is none of ours. */
export function readUri(uri: string): { readonly kind: Kind; readonly id: string } | undefined {
  const [, word, coded = ''] = /^swarm:\/\/([a-z]+)\/(.+)$/.exec(uri) ?? []
  const kind = KINDS.find((one) => one === word)
  const id = decoded(coded)
  return kind === undefined || id === undefined ? undefined : { kind, id }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
