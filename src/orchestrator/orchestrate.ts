import type * as z from 'zod'
import type { CommandContext } from '../contract/command.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import type { runRow } from '../contract/run-rows.ts'
import type { Rules } from '../core/rules.ts'
import { readFunction } from '../runtime/read.ts'
import { write } from '../runtime/write.ts'
import type { Repository } from '../workspaces/repository.ts'
import type { Host } from './host.ts'
import { createLeadership } from './leader.ts'
import { QA_EVERY_MS, qaCycle } from './qa-cycle.ts'
import { type Tick, tick } from './tick.ts'
import { createTrain } from './train.ts'
import type { Vigil } from './vigil.ts'

export interface OrchestrateOptions {
  readonly ctx: CommandContext
  readonly runId: string
  readonly rules: Rules
  readonly repository: Repository | undefined
  /** The worker of this process; none where it only leads. */
  readonly host: Host | undefined
  readonly tickMs: number
  readonly vigil: Vigil
  readonly onTick?: ((tick: Tick) => void) | undefined
  readonly onFault: (error: unknown) => void
}

export type RunEnd = z.output<typeof runRow>

const ENDED = new Set(['stopped', 'completed', 'failed'])
/** Between two ticks that events have woken. */
const SHORTEST_TICK_MS = 200

/**
 * Leads a run until it has ended, or stands by while another process leads; works on it meanwhile when there is a host. Resolves with how
 * the run stands when it has ended or when `stop` aborts (then sessions of this process have ended too). Throws when the database is given
 * up.
 */
export async function orchestrate(options: OrchestrateOptions, stop: AbortSignal): Promise<RunEnd> {
  const { ctx, runId, rules, repository, host, tickMs, vigil, onTick, onFault } = options
  const over = new AbortController()
  const hostOver = new AbortController()
  const working = host?.run(hostOver.signal)
  let woken = new AbortController()
  const qaEvery = ctx.root?.config.orchestrator?.qa_every_ms ?? QA_EVERY_MS
  let qaAt = performance.now()
  /** Finished turns are checked now and then, and at the end: by the leader. */
  const qa = async (): Promise<void> => {
    qaAt = performance.now()
    const own: CommandContext = { ...ctx, replayed() {} }
    for (let more = true; more && leadership.term() !== undefined; )
      ({ more } = await qaCycle(own, repository, { run_id: runId }, `qa/${crypto.randomUUID()}`))
  }
  const wake = () => {
    woken.abort()
    host?.wake()
  }
  let led = new AbortController()
  const leadership = createLeadership(ctx, undefined, () => {
    led.abort()
    wake()
  })
  const leading = leadership.run(over.signal)
  const listening = listen(ctx, over.signal, wake)
  const pause = async (reason: string): Promise<void> => {
    const term = leadership.term()
    if (term !== undefined)
      await write(
        ctx,
        'lead-act',
        { term, run_id: runId, kind: 'pause', reason },
        {},
        `act/${term}/${crypto.randomUUID()}`,
      )
  }
  const train = repository
    ? createTrain({ ctx, repository, runId, term: leadership.term, onFault, pause }, wake)
    : undefined
  try {
    for (;;) {
      const lost = vigil.error()
      if (lost) throw lost
      if (stop.aborted) return await readRun(ctx, runId)
      const started = performance.now()
      led = new AbortController()
      const term = leadership.term()
      try {
        const done = term === undefined ? undefined : await tick(ctx, runId, rules, term)
        if (done) onTick?.(done)
        // landing takes long: what else there is to do does not wait for it
        if (term !== undefined && train) train.move()
        else if (term !== undefined && !repository) await landWithoutTree(ctx, runId, term)
        if (done && done.done > 0) host?.wake()
        const run = await readRun(ctx, runId)
        vigil.heard()
        const over = ENDED.has(run.status)
        if (term !== undefined && (over || performance.now() - qaAt >= qaEvery)) await qa().catch(onFault)
        if (over) return run
      } catch (error) {
        onFault(error)
        vigil.failed(error)
      }
      woken = new AbortController()
      const least = term === undefined ? SHORTEST_TICK_MS * 5 : SHORTEST_TICK_MS
      // events do not hurry a stand-by, but beginning to lead does
      const sooner = AbortSignal.any([stop, vigil.lost, led.signal])
      await pauseOrAbort(Math.max(0, least - (performance.now() - started)), sooner)
      await pauseOrAbort(term === undefined ? 1_000 : tickMs, AbortSignal.any([woken.signal, sooner]))
    }
  } finally {
    await train?.close()
    hostOver.abort()
    await working
    over.abort()
    await Promise.all([leading, listening])
  }
}

/** Wakes whenever something has happened in the repo. */
export async function listen(ctx: CommandContext, over: AbortSignal, wake: () => void): Promise<void> {
  while (!over.aborted) {
    const ok = await ctx.db.waitForChange(ctx.repo, 5_000, over).then(
      () => true,
      () => false,
    )
    if (over.aborted) return
    wake()
    await pauseOrAbort(ok ? SHORTEST_TICK_MS : 1_000, over)
  }
}

/** Beads whose work is not in a repository have nothing to land: their last stage is passed at once. */
async function landWithoutTree(ctx: CommandContext, runId: string, term: number): Promise<void> {
  const { entries } = await readFunction<{ entries: readonly { id: number; bead_id: string }[] }>(
    ctx,
    'train',
    ctx.repo,
    runId,
    '',
  )
  for (const { id, bead_id } of entries)
    await write(
      ctx,
      'land',
      { term, id, bead_id, status: 'landed', reason: 'work is not in a repository' },
      {},
      `land/${id}/${term}`,
    )
}

export function readRun(ctx: CommandContext, runId: string): Promise<RunEnd> {
  return readFunction<RunEnd>(ctx, 'read_run', ctx.repo, runId)
}
