import { distance } from 'fastest-levenshtein'

const PREFIX_COST = 1.5

/** The candidate that was most likely meant, or undefined when none is near. */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  return ranked(word, candidates, 1)[0]
}

/** Up to `limit` candidates near to `word`, nearest first; the order of the candidates decides a tie. */
export function ranked(word: string, candidates: readonly string[], limit: number): readonly string[] {
  const wanted = plain(word)
  if (wanted === '') return []
  return candidates
    .map((name) => ({ name, cost: cost(wanted, plain(name)) }))
    .filter(({ cost }) => cost < Number.POSITIVE_INFINITY)
    .sort((a, b) => a.cost - b.cost)
    .slice(0, limit)
    .map(({ name }) => name)
}

/** `claimNext`, `CLAIM_NEXT` and `claim next` as `claim-next`: differences of spelling cost nothing. */
export function plain(name: string): string {
  return name
    .slice(0, 100)
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}

function cost(word: string, candidate: string): number {
  const allowed = Math.min(3, Math.max(1, Math.floor(Math.max(word.length, candidate.length) / 3)))
  const edits = editsBetween(word, candidate, allowed)
  const [short, long] = word.length < candidate.length ? [word, candidate] : [candidate, word]
  const isPrefix = short.length >= 3 && long.startsWith(short)
  // of two that are as near, the one whose end is missing: `statu` is `status` rather than `state`
  if (edits <= allowed) return isPrefix ? edits - 0.5 : edits
  return isPrefix ? PREFIX_COST : Number.POSITIVE_INFINITY
}

/** Levenshtein's distance, with a swap of two neighbours as one edit: they are the commonest slip of all. */
function editsBetween(word: string, candidate: string, allowed: number): number {
  const edits = distance(word, candidate)
  if (edits < 2 || edits > allowed + 1) return edits
  let best = edits
  for (let at = 0; at + 1 < word.length; at++) {
    const swapped = word.slice(0, at) + word.charAt(at + 1) + word.charAt(at) + word.slice(at + 2)
    best = Math.min(best, distance(swapped, candidate) + 1)
  }
  return best
}
