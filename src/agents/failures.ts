import type { ResultReason } from './events.ts'

/** Why a request failed, by the status of the model's service; undefined where the status says nothing. */
export function reasonOfStatus(status: number | undefined): ResultReason | undefined {
  if (status === undefined) return undefined
  if (status === 401 || status === 403) return 'auth'
  if (status === 402) return 'billing'
  if (status === 404) return 'configuration'
  if (status === 413) return 'prompt_too_long'
  if (status === 429) return 'quota'
  if (status === 408 || status >= 500) return 'overloaded'
  return undefined
}

/** In order: what is more certain comes first. */
const WORDS: readonly (readonly [RegExp, ResultReason])[] = [
  [
    /credit balance|billing|payment required|insufficient (?:funds|credits)|purchase more credits to continue/i,
    'billing',
  ],
  [/usage limit|session limit|quota|rate.?limit|too many requests|resource_exhausted|\b429\b/i, 'quota'],
  [/prompt is too long|context (?:window|length)|maximum context|too many tokens/i, 'prompt_too_long'],
  [
    /unauthori[sz]ed|unauthenticated|invalid (?:api|authentication)|incorrect api key|api key not valid|not logged in|please run .*login|\b40[13]\b/i,
    'auth',
  ],
  [
    /model .*(?:not found|does not exist|not supported)|unknown model|no (?:previous )?(?:conversation|session|rollout)s? found/i,
    'configuration',
  ],
  [
    /overloaded|unavailable|at capacity|\b5\d\d\b|stream (?:closed|disconnected)|connection|econnre|fetch failed|timed? ?out|socket/i,
    'overloaded',
  ],
]

/** Why something failed, by the program's words for it: for those that say no more. `failed` when they tell nothing. */
export function reasonOfWords(text: string): ResultReason {
  return WORDS.find(([pattern]) => pattern.test(text))?.[1] ?? 'failed'
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/**
 * How long to wait before the next try, in ms, where a service says it in words (`retry in 12.5s`, `reset after 1h2m3s`); undefined where
 * it does not.
 */
export function waitOfWords(text: string): number | undefined {
  const found = /\b(?:retry|try again|resets?) (?:in|after) ((?:\d+(?:\.\d+)?(?:ms|h|m|s) ?)+)/i.exec(
    text,
  )?.[1]
  if (found === undefined) return undefined
  return [...found.matchAll(/([\d.]+)(ms|h|m|s)/gi)].reduce(
    (sum, [, count, unit = '']) => sum + Number(count) * (UNITS[unit.toLowerCase()] ?? 0),
    0,
  )
}
