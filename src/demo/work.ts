/** What a demo agent makes of one attempt: all of it follows from the seed. */
export interface Attempt {
  /** How long it takes, as a multiple of the pace. */
  readonly length: number
  readonly outcome: 'passed' | 'failed'
  /** What the next attempt must know; only when it failed. */
  readonly feedback: string | undefined
}

/** Which part of the first attempts fails. Later ones pass, so the backlog is finished. */
const FAILING: Readonly<Record<string, number>> = { contract: 0.06, qa: 0.22, 'red-queen': 0.16 }

const FEEDBACK: Readonly<Record<string, readonly string[]>> = {
  contract: ['it is not said what happens on a timeout', 'two of the examples contradict each other'],
  qa: [
    'half cents are rounded down',
    'the empty list is not handled',
    'no test looks at the second page',
    'one test passes only when run alone',
    '2 of 41 tests fail',
    'the error has no text',
  ],
  'red-queen': [
    'two requests at once take the last item twice',
    'a body of 10 MB stops the server',
    'a link that has expired still signs in',
    'a name with a quote in it breaks the page',
  ],
}

/** Decides one attempt of one stage of a bead. The same seed always decides the same. */
export function decideAttempt(seed: number, beadId: string, stage: string, attempt: number): Attempt {
  const roll = (what: string) => unit(`${seed} ${beadId} ${stage} ${attempt} ${what}`)
  const length = 0.6 + 0.8 * roll('length')
  if (attempt > 1 || roll('outcome') >= (FAILING[stage] ?? 0))
    return { length, outcome: 'passed', feedback: undefined }
  const texts = FEEDBACK[stage] ?? []
  return {
    length,
    outcome: 'failed',
    feedback: texts[Math.floor(roll('feedback') * texts.length)] ?? 'it does not work',
  }
}

/** A number from 0 to 1 made of a text (FNV-1a, then the finish of murmur3, which spreads similar texts). */
function unit(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}
