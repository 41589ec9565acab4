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
