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
import { withdrawDone } from './tidy.ts'
import { createTrain, type Train } from './train.ts'
import type { Vigil } from './vigil.ts'

export interface OrchestrateOptions {
  readonly ctx: CommandContext
  readonly runId: string
  /** By which rules a run of this repo is driven. */
  readonly rulesOf: (run: RunEnd) => Rules
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
 * Drives a run until it has ended, or stands by while another process leads; works on it meanwhile when there is a host. Whoever leads drives
 * every open run of the repo, also those that others wait for. Resolves with how the run stands when it has ended or when `stop` aborts (then
 * sessions of this process have ended too). Throws when the database is given up.
 */
export async function orchestrate(options: OrchestrateOptions, stop: AbortSignal): Promise<RunEnd> {
  const { ctx, runId, rulesOf, repository, host, tickMs, vigil, onTick, onFault } = options
  const over = new AbortController()
  const hostOver = new AbortController()
  const working = host?.run(hostOver.signal)
  let woken = new AbortController()
  const qaEvery = ctx.root?.config.orchestrator?.qa_every_ms ?? QA_EVERY_MS
  let qaAt = performance.now()
  /** Finished turns are checked now and then, and at the end: by the leader. */
  const qa = async (run_id: string): Promise<void> => {
    const own: CommandContext = { ...ctx, replayed() {} }
    for (let more = true; more && leadership.term() !== undefined; )
      ({ more } = await qaCycle(own, repository, { run_id }, `qa/${crypto.randomUUID()}`))
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
  const pause = async (run_id: string, reason: string): Promise<void> => {
    const term = leadership.term()
    if (term !== undefined)
      await write(
        ctx,
        'lead-act',
        { term, run_id, kind: 'pause', reason },
        {},
        `act/${term}/${crypto.randomUUID()}`,
      )
  }
  const driven = new Map<string, Driven>()
  const drivenOf = (run_id: string): Driven => {
    const known = driven.get(run_id)
    if (known) return known
    const one: Driven = { halted: undefined, train: undefined }
    // what has stopped the train is tried again when a person goes on with the run, not before
    const halt = async (reason: string) => {
      one.halted = Number.POSITIVE_INFINITY
      await pause(run_id, reason).finally(() => {
        one.halted = performance.now()
      })
    }
    if (repository)
      one.train = createTrain(
        { ctx, repository, runId: run_id, term: leadership.term, onFault, pause: halt },
        wake,
      )
    driven.set(run_id, one)
    return one
  }
  const told = (error: unknown): false => {
    onFault(error)
    vigil.failed(error)
    return false
  }
  /** One look at one run. Answers whether anything was done. */
  const drive = async (run: RunEnd, term: number): Promise<boolean> => {
    const one = drivenOf(run.run_id)
    const began = performance.now()
    const done = await tick(ctx, run.run_id, rulesOf(run), term)
    if (run.run_id === runId) onTick?.(done)
    if (one.halted !== undefined && one.halted < began && done.snapshot.run.status === 'running')
      one.halted = undefined
    // landing takes long: what else there is to do does not wait for it
    if (one.train && one.halted === undefined) one.train.move()
    else if (!repository) await landWithoutTree(ctx, run.run_id, term)
    const over =
      done.done > 0 && done.decision.actions.some(({ kind }) => kind === 'complete' || kind === 'stopped')
    if (over) {
      await qa(run.run_id).catch(onFault)
      await one.train?.close()
      driven.delete(run.run_id)
      const remote = ctx.root?.config.landing?.remote
      if (repository && remote !== undefined) await withdrawDone(ctx, repository, remote).catch(onFault)
    }
    return done.done > 0
  }
  try {
    for (;;) {
      const lost = vigil.error()
      if (lost) throw lost
      if (stop.aborted) return await readRun(ctx, runId)
      const started = performance.now()
      led = new AbortController()
      const term = leadership.term()
      try {
        if (term !== undefined) {
          let acted = false
          for (const run of await openRuns(ctx)) acted = (await drive(run, term).catch(told)) || acted
          if (acted) host?.wake()
        }
        const run = await readRun(ctx, runId)
        vigil.heard()
        if (ENDED.has(run.status)) return run
        if (term !== undefined && performance.now() - qaAt >= qaEvery) {
          qaAt = performance.now()
          for (const run_id of driven.keys()) await qa(run_id).catch(onFault)
        }
      } catch (error) {
        told(error)
      }
      woken = new AbortController()
      const least = term === undefined ? SHORTEST_TICK_MS * 5 : SHORTEST_TICK_MS
      // events do not hurry a stand-by, but beginning to lead does
      const sooner = AbortSignal.any([stop, vigil.lost, led.signal])
      await pauseOrAbort(Math.max(0, least - (performance.now() - started)), sooner)
      await pauseOrAbort(term === undefined ? 1_000 : tickMs, AbortSignal.any([woken.signal, sooner]))
    }
  } finally {
    await Promise.all([...driven.values()].map(({ train }) => train?.close()))
    // another process may lead while sessions of this one finish their turn
    over.abort()
    await Promise.all([leading, listening])
    hostOver.abort()
    await working
  }
}

/** A run that this process drives while it leads. */
interface Driven {
  train: Train | undefined
  /** When its train has stopped for a person, on `performance.now()`; undefined while it may move. */
  halted: number | undefined
}

/** The runs of the repo that have not ended, the oldest first. */
async function openRuns(ctx: CommandContext): Promise<readonly RunEnd[]> {
  const rows = await ctx.db.read<{ run: RunEnd }>(
    `select swarm.run_json(r) as run from swarm.swarm_runs r where repo_id = $1 and ended_at is null order by started_at, run_id limit 50`,
    [ctx.repo],
  )
  return rows.map(({ run }) => run)
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
