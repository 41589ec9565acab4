import type { Action } from './actions.ts'
import type { Rules } from './rules.ts'
import type { SessionFacts, Snapshot } from './snapshot.ts'

/** Whether an agent may get its next session, and if not, from when on and why. */
export type Standing =
  | { readonly free: true }
  | { readonly free: false; readonly until_ms: number; readonly why: string }

/** A session that ended so counts against its agent. A clean end never does; work that did not pass is the bead's affair, quotas are others'. */
export function isFailure({ reason }: SessionFacts): boolean {
  return reason === 'crashed' || (reason?.startsWith('stuck:') ?? false) || isNotStarted(reason)
}

function isNotStarted(reason: string | null): boolean {
  return reason?.startsWith('not_started:') ?? false
}

/** Reasons of `not_started:` that trying again does not mend: the program is missing, not logged in or wrongly configured. */
export const FINAL: readonly string[] = [
  'not_started:not_installed',
  'not_started:not_logged_in',
  'not_started:configuration',
]

/** False for what ended before a person went on with the run: that was seen, and perhaps mended. */
export function sinceResumed({ ended_ms }: SessionFacts, { run }: Snapshot): boolean {
  return (ended_ms ?? 0) >= (run.resumed_ms ?? 0)
}

/**
 * Restart after a failure: at once the first time, then after 10 s, doubled up to 5 minutes with a quarter of jitter; forgotten after a
 * session that lived ten minutes. More than five failures in ten minutes, or three short lives in a row, set the agent aside.
 */
export function standingOf(agentId: number, snapshot: Snapshot, rules: Rules): Standing {
  const { sessions, now_ms: now } = snapshot
  const { supervision } = rules
  const ended = sessions
    .filter((one) => one.agent_id === agentId && one.ended_ms !== null && sinceResumed(one, snapshot))
    .sort((a, b) => (b.ended_ms ?? 0) - (a.ended_ms ?? 0))
  const streak: SessionFacts[] = []
  for (const one of ended) {
    if (!isFailure(one)) {
      if (one.reason === 'completed' || one.reason === 'failed' || lifeOf(one) >= supervision.healthy_ms)
        break
      continue
    }
    streak.push(one)
    if (lifeOf(one) >= supervision.healthy_ms) break
  }
  const [last] = streak
  if (!last) return { free: true }
  const lastEnd = last.ended_ms ?? now
  // not the agent's fault: its account is held
  if (last.reason !== null && FINAL.includes(last.reason)) return { free: true }
  const recent = streak.filter(({ ended_ms }) => now - (ended_ms ?? 0) < supervision.period_ms)
  if (recent.length > supervision.intensity)
    return {
      free: false,
      until_ms: lastEnd + supervision.period_ms,
      why: `${recent.length} failures in ${supervision.period_ms / 60_000} min: set aside`,
    }
  const crashes = streak.slice(0, supervision.churn_lives)
  const churns =
    crashes.length === supervision.churn_lives &&
    crashes.every((one) => lifeOf(one) < supervision.short_life_ms)
  if (churns && now - lastEnd < supervision.period_ms)
    return {
      free: false,
      until_ms: lastEnd + supervision.period_ms,
      why: `${supervision.churn_lives} lives under ${supervision.short_life_ms / 60_000} min: quarantined`,
    }
  if (streak.length === 1) return { free: true }
  const delay = Math.min(supervision.longest_delay_ms, supervision.first_delay_ms * 2 ** (streak.length - 2))
  const until = lastEnd + delay * (1 + 0.25 * share(last.session_id))
  return until <= now
    ? { free: true }
    : { free: false, until_ms: until, why: `backs off after ${streak.length} failures` }
}

function lifeOf({ started_ms, ended_ms }: SessionFacts): number {
  return started_ms === null || ended_ms === null ? 0 : ended_ms - started_ms
}

/** A number from 0 to 1 that is always the same for a name: jitter that does not change from tick to tick. */
export function share(name: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193)
  return (hash >>> 0) / 0x1_0000_0000
}

/**
 * More than five failures within five minutes, by more than half of the pool: the run pauses instead of burning the backlog. The pool is what
 * the run may have at work at once; agents of other roles, and more of a role than its limit, are not in it.
 */
export function meltdown(snapshot: Snapshot, rules: Rules): Action | undefined {
  const { sessions, now_ms: now, run, agents } = snapshot
  const { supervision } = rules
  const failed = sessions.filter(
    (one) =>
      one.run_id === run.run_id &&
      isFailure(one) &&
      sinceResumed(one, snapshot) &&
      now - (one.ended_ms ?? 0) < supervision.meltdown_ms,
  )
  const hurt = new Set(failed.map(({ agent_id }) => agent_id))
  const pool = Object.keys(rules.roles)
    .map((role) =>
      Math.min(
        agents.filter((one) => one.role === role).length,
        rules.limits.role?.[role] ?? Number.POSITIVE_INFINITY,
      ),
    )
    .reduce((sum, count) => sum + count, 0)
  if (failed.length <= supervision.meltdown_failures || hurt.size * 2 <= pool) return undefined
  const counts = new Map<string, number>()
  for (const { reason } of failed) counts.set(reason ?? '', (counts.get(reason ?? '') ?? 0) + 1)
  const told = [...counts].map(([reason, count]) => `${count} ${reason}`).join(', ')
  return {
    kind: 'pause',
    reason: `meltdown: ${failed.length} sessions of ${hurt.size} agents failed within 5 min (${told})`,
  }
}
