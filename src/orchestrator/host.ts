import { statfs } from 'node:fs/promises'
import { hostname } from 'node:os'
import { adapterNamed } from '../agents/adapters.ts'
import { ADAPTERS } from '../contract/agents-config.ts'
import type { CommandContext } from '../contract/command.ts'
import { storable } from '../contract/json.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { standingOfProcess, thisProcess } from '../process/index.ts'
import { readFunction } from '../runtime/read.ts'
import { write } from '../runtime/write.ts'
import type { HostSettings } from './host-settings.ts'
import { sweepLeftovers, sweepPaths } from './leftovers.ts'
import { type RunningOrder, runOrder } from './run-session.ts'
import { answerText, type Stop } from './session-order.ts'
import { allSettings, withAccount } from './settings.ts'

/** How often a host says that it lives and asks for orders, at least. */
const BEAT_MS = 2_000
/** Away from the database for so long, a host must think that its beads were given to others. */
const LOST_MS = 60_000
/** How often a host looks again for programs that it could not use. */
const PROBE_MS = 30_000

interface Order {
  readonly session_id: string
  readonly status: string
  readonly wanted?: string
  readonly reason?: string
  readonly held: boolean
  /** A person has given it so much more time, from now on. */
  readonly extended_ms?: number
  readonly inputs?: readonly {
    readonly id: number
    readonly kind: string
    readonly text: string
    readonly question_id?: string
    /** Its words. */
    readonly question?: string
  }[]
}

interface HostAnswer {
  readonly draining: boolean
  readonly elsewhere: boolean
  readonly orders: readonly Order[]
  /** Workers that have sessions open and that no longer tell of themselves. */
  readonly others: readonly { readonly host_id: string; readonly process: string }[]
}

export interface HostOptions extends Omit<HostSettings, 'elsewhere'> {
  readonly capacity: Readonly<Record<string, number>>
  readonly version: string
}

export interface Host {
  /** Beats until `signal` aborts; then lets its sessions finish their turn, and says farewell. */
  run(signal: AbortSignal): Promise<void>
  /** Takes no more orders. */
  drain(): void
  /** Ends every session at once; their beads go back, their work is kept. */
  endAll(why: Stop): void
  readonly sessions: () => number
  /** Beats without waiting for the next time. */
  wake(): void
}

/** The worker of this process: it carries out the orders that the leader gives to its host id. */
export function createHost(options: HostOptions): Host {
  const { ctx, hostId } = options
  const running = new Map<string, RunningOrder>()
  /** It ends: no way back. */
  let leaving = false
  /** A person has said that it is to take nothing new. */
  let drained = false
  let heard = performance.now()
  let woken = new AbortController()
  let elsewhere = false
  const settings: HostSettings = { ...options, elsewhere: () => elsewhere }

  const beat = async (adapters: object): Promise<void> => {
    const facts = [...running.values()].flatMap((one) => one.live()?.facts() ?? { session_id: one.sessionId })
    const { bavail, bsize } = await statfs(options.root)
    const host = {
      host_id: hostId,
      name: hostname(),
      capacity: options.capacity,
      adapters,
      draining: leaving,
      free_disk_mb: Math.min(2_000_000_000, Math.floor((bavail * bsize) / 1_048_576)),
      version: options.version,
      process: thisProcess(),
      ...(options.repository
        ? { repository: `${thisProcess().split('.')[0]}:${options.repository.commonDir}` }
        : {}),
    }
    const [row] = await ctx.db.read<{ d: HostAnswer }>(
      'select swarm.host_beat($1, $2::text::jsonb, $3::text::jsonb) as d',
      [ctx.repo, JSON.stringify(host), JSON.stringify(storable(facts))],
      { timeoutMs: 10_000 },
    )
    heard = performance.now()
    options.vigil.heard()
    if (!row) return
    drained = row.d.draining
    elsewhere = row.d.elsewhere
    const known = new Set(row.d.orders.map(({ session_id }) => session_id))
    for (const order of row.d.orders) await follow(order)
    for (const [id, one] of running)
      if (!known.has(id) && one.live())
        one.stop({ reason: 'superseded', evidence: 'the session was ended by somebody else' })
    for (const { host_id, process } of row.d.others)
      if (standingOfProcess(process) === 'gone') await bury(host_id)
  }

  /** A worker that was killed on this machine: what it left is ended, and its beads go back at once. */
  const bury = async (gone: string): Promise<void> => {
    await sweepLeftovers(settings)
    await readFunction(ctx, 'bury_host', ctx.repo, gone, 'its process is gone')
    await sweepPaths(ctx)
  }

  /** Ends a session that this host does not run; its bead goes back. */
  const giveUp = async (session_id: string, reason: string, release: string): Promise<void> => {
    const request = { session_id, host_id: hostId, reason, release, evidence: release }
    await write(ctx, 'session-end', request, {}, `end/${session_id}/given-up`)
  }

  /** Ends at the next turn's boundary; who waits for a person or for a quota ends at once. */
  const atTurn = (order: RunningOrder, why: Stop): void => {
    const status = order.live()?.facts().status
    if (status === 'asking' || status === 'held') order.stop(why)
    else order.stopAtTurn(why)
  }

  const follow = async (order: Order): Promise<void> => {
    const own = running.get(order.session_id)
    if (!own) {
      // an order that was taken and that nobody carries out any more: its end could not be written
      if (order.status !== 'assigned')
        return giveUp(order.session_id, 'not_started:fault', 'its host does not run it any more')
      if (!leaving && !drained) start(order.session_id)
      else await giveUp(order.session_id, 'shutdown', 'its host takes no more work')
      return
    }
    if (own.live() && !order.held)
      own.stop({ reason: 'superseded', evidence: 'the bead was given to somebody else' })
    const why = order.reason ?? order.wanted ?? ''
    if (order.wanted === 'budget') atTurn(own, { reason: 'budget', evidence: why })
    else if (order.wanted === 'turn') atTurn(own, { reason: 'shutdown', evidence: why })
    else if (order.wanted === 'budget_now') own.stop({ reason: 'budget', evidence: why })
    else if (order.wanted !== undefined) own.stop({ reason: order.wanted, evidence: why })
    const live = own.live()
    if (order.extended_ms !== undefined) live?.extend(order.extended_ms)
    if (!live || !order.inputs) return
    const taken = order.inputs.filter((input) => {
      if (input.kind === 'steer') return live.agent.send(input.text)
      const native = input.question_id?.slice(order.session_id.length + 1) ?? ''
      const asked = live.agent.track().asking.find(({ id }) => id === native)
      // asked by `swarm ask`: the program itself waits for nothing, and is told
      if (!asked) return live.agent.send(answerText(input.question ?? '', input.text))
      if (asked.kind === 'question') return live.agent.answer(native, { kind: 'text', text: input.text })
      return live.agent.answer(
        native,
        /^(allow|yes|y)\b/i.test(input.text) ? { kind: 'allow' } : { kind: 'deny', reason: input.text },
      )
    })
    if (taken.length > 0)
      await ctx.db.read('select swarm.take_inputs($1, $2::text::jsonb)', [
        ctx.repo,
        JSON.stringify(taken.map(({ id }) => id)),
      ])
  }

  const start = (sessionId: string): void => {
    const order = runOrder(settings, sessionId)
    running.set(sessionId, order)
    void order.done.finally(() => {
      running.delete(sessionId)
      woken.abort()
    })
  }

  return {
    sessions: () => running.size,
    drain() {
      leaving = true
    },
    endAll(why) {
      for (const one of running.values()) one.stop(why)
    },
    wake: () => woken.abort(),
    async run(signal) {
      let adapters = await probeAdapters(options)
      let probed = performance.now()
      await sweepLeftovers(settings)
        .then(() => sweepPaths(ctx))
        .catch(options.onFault)
      while (!signal.aborted || running.size > 0) {
        try {
          // what is missing may have been installed, or logged in, meanwhile; the heartbeat does not wait for it
          if (isIncomplete(adapters) && performance.now() - probed >= PROBE_MS) {
            probed = performance.now()
            void probeAdapters(options).then((found) => {
              adapters = found
            }, options.onFault)
          }
          await beat(adapters)
        } catch (error) {
          options.onFault(error)
          options.vigil.failed(error)
          if (performance.now() - heard > LOST_MS)
            for (const one of running.values())
              one.stop({ reason: 'superseded', evidence: 'the database was away for longer than the lease' })
        }
        if (signal.aborted) {
          leaving = true
          for (const one of running.values())
            atTurn(one, { reason: 'shutdown', evidence: 'its host was told to stop' })
        }
        woken = new AbortController()
        await pauseOrAbort(
          BEAT_MS,
          running.size === 0 ? AbortSignal.any([woken.signal, signal]) : woken.signal,
        )
      }
      await readFunction(ctx, 'host_left', ctx.repo, hostId, 'its worker has ended').catch(() => {})
    },
  }
}

function isIncomplete(adapters: Probed): boolean {
  return Object.values(adapters).some(({ missing }) => missing !== undefined)
}

/** What a host can run, by adapter: a version, or why it cannot be used. */
export type Probed = Readonly<Record<string, { readonly version?: string; readonly missing?: string }>>

/** Which programs this host can run, and why not the others. */
export async function probeAdapters(
  options: Pick<HostOptions, 'ctx' | 'path' | 'adapter' | 'capacity'>,
): Promise<Probed> {
  const { ctx, path, adapter } = options
  const config = ctx.root?.config ?? {}
  const roles = ['default', ...Object.keys(config.agents ?? {}), ...Object.keys(options.capacity)]
  const wanted = new Map(
    allSettings(config, roles, adapter).map((settings) => [settings.adapter, settings] as const),
  )
  const found: Record<string, { version?: string; missing?: string }> = {}
  for (const name of ADAPTERS) {
    const settings = wanted.get(name)
    const known = adapterNamed(name)
    if (!settings || !known) continue
    const probe = await known.probe({ ...withAccount(settings, ctx.env), path })
    found[name] = probe.usable
      ? probe.login === 'no'
        ? { missing: 'not logged in' }
        : { version: probe.version ?? 'unknown' }
      : { missing: `${probe.why}: ${probe.detail}` }
  }
  return found
}

/** A name for this process as a host; another process of the same machine has another. */
export function newHostId(ctx: CommandContext): string {
  return `${hostname().slice(0, 40)}-${ctx.holder.slice(0, 8)}`
}
