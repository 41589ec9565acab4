/** When a session counts as stuck. Durations in ms. */
export interface StuckRules {
  /** No new tool call for so long. */
  readonly no_tool_ms: number
  /** No output of any kind for so long. */
  readonly no_output_ms: number
  /** How long one tool may run while its processes show that they live. */
  readonly open_tool_ms: number
  /** After a word to the session, how long it has to come back. */
  readonly steer_ms: number
  readonly same_error: number
  readonly same_action: number
  readonly alternation: number
  /** Turns without a change of tree or head. */
  readonly turns_without_change: number
}

export const STUCK_RULES: StuckRules = {
  no_tool_ms: 300_000,
  no_output_ms: 600_000,
  open_tool_ms: 1_800_000,
  steer_ms: 300_000,
  same_error: 3,
  same_action: 4,
  alternation: 6,
  turns_without_change: 40,
}

/** What has been measured of a session. Times are ms of one clock that does not jump. */
export interface LivenessFacts {
  readonly now: number
  readonly started: number
  /** The last sign of life of the program. */
  readonly lastOutput: number
  /** When a tool last began or ended. */
  readonly lastTool: number
  readonly openTool: { readonly name: string; readonly since: number } | undefined
  /** When CPU, bytes or processes besides the program itself were last seen. */
  readonly lastBusy: number
  /** It waits for a person. */
  readonly asking: boolean
  /** Its account has no quota until then. */
  readonly limitedUntil: number | undefined
  readonly done: boolean
  /** Last tool calls, oldest first: what was asked and what came of it. */
  readonly actions: readonly { readonly action: string; readonly result: string; readonly ok: boolean }[]
  readonly turnsWithoutChange: number
  /** When it was spoken to for being stuck, since it last worked. */
  readonly steered: { readonly at: number } | undefined
  readonly canSteer: boolean
  /** A person has given it time until then. */
  readonly extendedUntil: number | undefined
}

export interface Judgement {
  readonly state: 'working' | 'slow' | 'stuck' | 'held' | 'asking' | 'done'
  readonly rule?: string
  readonly evidence?: string
  readonly act?: 'steer' | 'end'
}

/**
 * Silence alone is not stuck. While a tool is open and its processes show CPU, bytes or children, no rule of time applies, up to that
 * tool's own ceiling. A session that is stuck is spoken to first, where that can be done, and ended when that has not helped.
 */
export function judge(facts: LivenessFacts, rules: StuckRules): Judgement {
  const { now, asking, done, limitedUntil, extendedUntil } = facts
  if (done) return { state: 'done' }
  if (asking) return { state: 'asking' }
  if (limitedUntil !== undefined && limitedUntil > now) return { state: 'held' }
  const found =
    loopOf(facts, rules) ??
    (extendedUntil !== undefined && extendedUntil > now ? undefined : timeOf(facts, rules))
  if (!found) return { state: now - facts.lastOutput > rules.no_output_ms / 4 ? 'slow' : 'working' }
  const act = next(facts, rules)
  return { state: 'stuck', ...found, ...(act === undefined ? {} : { act }) }
}

/** Spoken to once; when the time given for that has passed and it is still stuck, it is ended. Between the two nothing is done. */
function next({ steered, canSteer, now }: LivenessFacts, rules: StuckRules): 'steer' | 'end' | undefined {
  if (!canSteer) return 'end'
  if (steered === undefined) return 'steer'
  return now - steered.at >= rules.steer_ms ? 'end' : undefined
}

function timeOf(
  facts: LivenessFacts,
  rules: StuckRules,
): { readonly rule: string; readonly evidence: string } | undefined {
  const { now, openTool, lastBusy, lastOutput, lastTool } = facts
  if (openTool) {
    const open = now - openTool.since
    if (open > rules.open_tool_ms)
      return { rule: 'open_tool', evidence: `${openTool.name} has been open for ${minutes(open)}` }
    // a tool may compute for a moment, wait, and compute again: the time runs from when it last did
    if (now - lastBusy <= rules.no_output_ms) return undefined
  }
  if (now - lastOutput > rules.no_output_ms)
    return { rule: 'no_output', evidence: `nothing was said for ${minutes(now - lastOutput)}` }
  // what streams its answer is thinking, not stuck
  if (!openTool && now - lastTool > rules.no_tool_ms && now - lastOutput > rules.no_tool_ms)
    return { rule: 'no_tool', evidence: `no tool call for ${minutes(now - lastTool)}` }
  return undefined
}

function loopOf(
  facts: LivenessFacts,
  rules: StuckRules,
): { readonly rule: string; readonly evidence: string } | undefined {
  const { actions, turnsWithoutChange } = facts
  const last = actions.at(-1)
  if (last) {
    const errors = trailing(actions, (one) => !one.ok && one.result === last.result)
    if (!last.ok && errors >= rules.same_error)
      return { rule: 'same_error', evidence: `the same error ${errors} times: ${last.result.slice(0, 300)}` }
    const same = trailing(actions, (one) => one.action === last.action && one.result === last.result)
    if (same >= rules.same_action)
      return {
        rule: 'same_action',
        evidence: `the same call with the same result ${same} times: ${last.action.slice(0, 300)}`,
      }
    const before = actions.at(-2)
    if (before && before.action !== last.action) {
      const tail = actions.slice(-rules.alternation)
      const alternates =
        tail.length === rules.alternation &&
        tail.every(({ action, result }, at) => {
          const model = (tail.length - 1 - at) % 2 === 0 ? last : before
          return action === model.action && result === model.result
        })
      if (alternates)
        return {
          rule: 'alternation',
          evidence: `two calls in turn for ${rules.alternation} steps: ${last.action.slice(0, 150)} and ${before.action.slice(0, 150)}`,
        }
    }
  }
  if (turnsWithoutChange >= rules.turns_without_change)
    return { rule: 'no_change', evidence: `${turnsWithoutChange} turns without a change of tree or head` }
  return undefined
}

function trailing<T>(list: readonly T[], holds: (one: T) => boolean): number {
  let count = 0
  for (let at = list.length - 1; at >= 0; at--) {
    const one = list[at]
    if (one === undefined || !holds(one)) break
    count += 1
  }
  return count
}

function minutes(ms: number): string {
  return ms >= 60_000 ? `${Math.floor(ms / 60_000)} min` : `${Math.floor(ms / 1_000)} s`
}
