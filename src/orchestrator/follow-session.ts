import { appendFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { AgentEvent, ResultEvent } from '../agents/events.ts'
import { LONG_WAIT_MS } from '../agents/tracking.ts'
import { type JsonObject, storable } from '../contract/json.ts'
import { STUCK_RULES, type StuckRules } from '../core/liveness.ts'
import { readFunction } from '../runtime/read.ts'
import { write } from '../runtime/write.ts'
import { type WorkspaceFacts, workspaceState } from '../workspaces/workspace.ts'
import type { HostSettings } from './host-settings.ts'
import type { LiveSession } from './live-session.ts'
import type { Control, StartAnswer } from './session-order.ts'

const LOOK_MS = 1_000
/** The longest limits that are known are by the week: what is told beyond that is an error, and must not hold an account for ever. */
const LONGEST_QUOTA_MS = 8 * 86_400_000

/** Reads the session's events to its result, looking meanwhile whether it lives. Undefined: it was stopped before. */
export async function follow(
  host: HostSettings,
  order: StartAnswer,
  live: LiveSession,
  control: Control,
  cwd: string,
  before: WorkspaceFacts | undefined,
): Promise<ResultEvent | undefined> {
  const over = new AbortController()
  const looking = look(host, live, control, over.signal, before ? cwd : undefined, order.stage)
  try {
    const events = live.agent.events[Symbol.asyncIterator]()
    const aborted = new Promise<'stopped'>((resolve) => {
      if (control.signal.aborted) resolve('stopped')
      control.signal.addEventListener('abort', () => resolve('stopped'), { once: true })
    })
    for (;;) {
      const next = await Promise.race([events.next(), aborted])
      if (next === 'stopped' || next.done) return live.agent.track().result
      live.take(next.value)
      await quota(host, order, live, next.value, control)
      if (next.value.kind === 'result') return next.value
      const why = next.value.kind === 'turn_ended' ? control.atTurn() : undefined
      if (why) control.stop(why)
    }
  } finally {
    over.abort()
    await looking
  }
}

/**
 * Tells the database of quotas as the program tells of them. A program that waits for one longer than is worth a slot is to end: its bead
 * is held, and it goes on when there is quota again.
 */
async function quota(
  { ctx }: HostSettings,
  { account }: StartAnswer,
  live: LiveSession,
  event: AgentEvent,
  control: Control,
): Promise<void> {
  const tell = ({ until, ...told }: JsonObject & { until?: number | undefined }) =>
    readFunction(ctx, 'session_quota', ctx.repo, live.sessionId, {
      account,
      ...told,
      ...(until === undefined ? {} : { until_ms: Math.min(until, Date.now() + LONGEST_QUOTA_MS) }),
    })
  if (event.kind === 'rate_limited') {
    await tell({
      kind: event.state === 'reached' ? 'limit' : 'near',
      ...(event.usedPercent === undefined ? {} : { used_percent: event.usedPercent }),
      until: event.until,
      evidence: event.limit ?? '',
    })
  } else if (event.kind === 'result' && event.reason === 'quota') {
    // one that has said until when was heard already
    if ((live.agent.track().limitedUntil ?? 0) <= Date.now())
      await tell({ kind: 'limit', evidence: event.detail.slice(0, 500) })
  } else if (event.kind === 'result' && event.reason === 'overloaded') {
    await tell({ kind: 'overload', evidence: event.detail.slice(0, 500) })
  } else if (event.kind === 'retrying' && (event.cause === 'overloaded' || event.cause === 'quota')) {
    const evidence = event.detail.slice(0, 500)
    const isLong = event.at !== undefined && event.at - Date.now() >= LONG_WAIT_MS
    if (event.cause === 'quota' && isLong) {
      await tell({ kind: 'limit', until: event.at, evidence })
      control.stop({ reason: 'quota', evidence })
    } else await tell({ kind: 'overload', evidence })
  }
}

/** Reports what is new and judges the session, about once a second, until it is over. */
async function look(
  host: HostSettings,
  live: LiveSession,
  control: Control,
  over: AbortSignal,
  worktree: string | undefined,
  stage: string,
): Promise<void> {
  const rules = stuckRulesOf(host, worktree, stage)
  const tree = worktree === undefined ? undefined : treeWatch(worktree, await workspaceState(worktree))
  while (!over.aborted) {
    await delay(LOOK_MS, undefined, { signal: over }).catch(() => {})
    try {
      await flush(host, live)
      const changed = (await tree?.(live.turnsWithoutChange)) ?? false
      const judgement = live.look(rules, changed)
      if (judgement.act === 'end')
        control.stop({
          reason: `stuck:${judgement.rule}`,
          rule: judgement.rule ?? '',
          evidence: judgement.evidence ?? '',
        })
      else if (
        judgement.act === 'steer' &&
        !live.steer(
          `You seem to be stuck: ${judgement.evidence}. Say what you are doing, or go on in another way.`,
        )
      )
        control.stop({
          reason: `stuck:${judgement.rule}`,
          rule: judgement.rule ?? '',
          evidence: judgement.evidence ?? '',
        })
    } catch (error) {
      host.onFault(error)
    }
  }
}

/** Turns for one look at the tree: each is several commands of git, and there may be hundreds of sessions. */
const TURNS_A_LOOK = 5

/** Says, asked with the number of turns in which no change was seen, whether the tree has changed since it was last looked at. */
function treeWatch(worktree: string, first: string): (turns: number) => Promise<boolean> {
  let last = first
  let looked = 0
  return async (turns) => {
    if (turns - looked < TURNS_A_LOOK) return false
    const now = await workspaceState(worktree)
    const changed = now !== last
    last = now
    looked = changed ? 0 : turns
    return changed
  }
}

/** Who only checks may read for long; of work that is not in a worktree nobody sees whether it changes. */
const CHECKERS_TIMES = 5

function stuckRulesOf(host: HostSettings, worktree: string | undefined, stage: string): StuckRules {
  const { turns_without_change: turns } = STUCK_RULES
  return {
    ...STUCK_RULES,
    turns_without_change:
      worktree === undefined
        ? Number.POSITIVE_INFINITY
        : stage === 'implement'
          ? turns
          : turns * CHECKERS_TIMES,
    ...defined(host.ctx.root?.config.orchestrator?.stuck ?? {}),
  }
}

function defined<T extends object>(value: T): Partial<{ [K in keyof T]: Exclude<T[K], undefined> }> {
  // only keys without a value are left out
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Partial<{
    [K in keyof T]: Exclude<T[K], undefined>
  }>
}

/** Everything that is left to report; a fault is told and does not keep the session from its end. */
export async function flushAll(host: HostSettings, live: LiveSession): Promise<void> {
  try {
    // the first may be a report that did not arrive before
    await flush(host, live)
    await flush(host, live)
  } catch (error) {
    host.onFault(error)
  }
}

/** Iterations, log and questions since the last time go to the database; what is too much for it into a file. */
async function flush({ ctx, root }: HostSettings, live: LiveSession): Promise<void> {
  const { iterations, chunks, asked } = live.news()
  if (iterations.length > 0 || chunks.length > 0) {
    await ctx.db.read('select swarm.session_log($1, $2, $3::text::jsonb, $4::text::jsonb)', [
      ctx.repo,
      live.sessionId,
      JSON.stringify(iterations),
      JSON.stringify(storable(chunks)),
    ])
  }
  for (const { id, text, options } of asked) {
    await write(
      ctx,
      'ask',
      storable({
        session_id: live.sessionId,
        question_id: `${live.sessionId}/${id}`.slice(0, 200),
        question: text.slice(0, 8_000),
        options: [...options],
      }),
      {},
      `ask/${live.sessionId}/${id}`,
    )
  }
  live.told()
  const rest = live.overflow.splice(0)
  if (rest.length > 0) {
    const dir = join(root, '.swarm', 'logs')
    await mkdir(dir, { recursive: true })
    await appendFile(join(dir, `${live.sessionId}.log`), rest.join(''))
  }
}
