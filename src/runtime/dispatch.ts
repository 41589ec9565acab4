import type { AnyCommand, Catalog } from '../contract/command.ts'
import type { WriteCall } from '../contract/context.ts'
import type { Emit, Reply, Rid } from '../contract/envelope.ts'
import { SwarmError } from '../contract/errors.ts'
import type { Json, JsonObject } from '../contract/json.ts'
import type { Principal } from '../contract/roles.ts'
import type { Defaults } from '../contract/try-parse.ts'
import { toSwarmError } from './faults.ts'
import { fixedFor } from './fixes.ts'
import { admit, admitted, perform } from './perform.ts'
import { type Prepared, prepare } from './prepare.ts'
import { FRESH_MS } from './principal.ts'
import { createProcessState, type ProcessOptions } from './process-state.ts'
import { startRenewing } from './renew.ts'
import { emitter, failure, ridOf, times } from './reply.ts'
import { startRetention } from './retention.ts'
import { openScope, type Scope } from './scope.ts'

export type { Prepared }

export interface DispatcherOptions extends ProcessOptions {
  readonly surface: 'pipe' | 'oneshot'
}

/** Runs requests. One per process: it owns the connections, the claims and the shutdown signal. */
export interface Dispatcher {
  /** Parses a request; never throws. `client` fills in what the request leaves out and this process does not know better. */
  accept(raw: JsonObject, client?: Defaults): Promise<Prepared | Reply>
  /** Runs one request; never throws. Once `signal` aborts, what it waits for ends and it is answered. */
  run(request: Prepared, emit: Emit, signal?: AbortSignal): Promise<Reply>
  /** Runs appends together; never throws. */
  runAppends(requests: readonly Prepared[]): Promise<readonly Reply[]>
  refuse(error: SwarmError, rid?: Rid): Reply
  /** The configured bound of a line, in bytes. */
  readonly maxLineBytes: number | undefined
  /** The pipe's input has ended: claims made from now on are not renewed, endless subscriptions end. */
  inputEnded(): void
  /** Renews the claims of this process until it closes. */
  startRenewing(): void
  /** Keeps to the configured retention until it closes. */
  startRetention(): void
  /** Says whether a request might run, without running it: as whom, or why not. */
  mayRun(
    raw: JsonObject,
  ): Promise<{ readonly principal: Principal | null } | { readonly refusal: SwarmError }>
  /** Makes every open wait answer `shutdown`. */
  shutdown(): void
  /** Told to stop once more: ends what finishes its work. False when no request that is open does. */
  hurry(): boolean
  close(): Promise<void>
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const state = createProcessState(options)
  let stopRenewing = () => {}
  let stopRetention = () => {}

  /** Looks while a request waits whether its token is still good; the answer is then why it is not. */
  const watch = (request: Prepared, scope: Scope, end: () => void) => {
    let refusal: unknown
    const timer = setInterval(() => {
      admit(state, request, scope).catch((error: unknown) => {
        if (!(error instanceof SwarmError) || error.code !== 'UNAUTHORIZED') return
        refusal = error
        end()
      })
    }, FRESH_MS)
    timer.unref()
    return { stop: () => clearInterval(timer), refusal: () => refusal }
  }

  const success = async (request: Prepared, d: Json, scope: Scope, started: number): Promise<Reply> => ({
    ok: true,
    ...(request.rid === undefined ? {} : { rid: request.rid }),
    d,
    ...(request.common.state ? { state: await totals(request, scope) } : {}),
    ...(scope.notes.next ? { next: scope.notes.next } : {}),
    ...(scope.notes.replayed ? { replayed: true } : {}),
    ...times(started),
  })

  const totals = async (request: Prepared, scope: Scope) => {
    const [row] = await scope.db().read<{ total: number; active: number }>(
      `select count(*)::integer as total, (count(*) filter (where status = 'in_progress'))::integer as active
       from swarm.bead_backlog where repo_id = $1`,
      [state.repoOfRequest(request, scope.notes.standing)],
    )
    return row ?? { total: 0, active: 0 }
  }

  const run = async (request: Prepared, emit: Emit, signal?: AbortSignal): Promise<Reply> => {
    const started = performance.now()
    const { scope, end, done } = openScope(state, request, emitter(request, emit, started), signal)
    const watched = request.waits && state.authority.hasToken ? watch(request, scope, end) : undefined
    try {
      const d = await perform(state, request, scope)
      const refusal = watched?.refusal()
      if (refusal) throw refusal
      return await success(request, d, scope, started)
    } catch (error) {
      return failure(watched?.refusal() ?? error, request.rid, started)
    } finally {
      watched?.stop()
      done()
    }
  }

  const runTogether = async (requests: readonly Prepared[], started: number): Promise<readonly Reply[]> => {
    const parts = requests.map((request) => ({ request, ...openScope(state, request, async () => {}) }))
    try {
      const calls: WriteCall[] = []
      const refused = new Map<Prepared, unknown>()
      for (const { request, scope } of parts) {
        if (!('append' in request.command)) throw new Error(`${request.command.name} does not append`)
        try {
          calls.push(request.command.append(await admitted(state, request, scope), request.input))
        } catch (error) {
          refused.set(request, error)
        }
      }
      const settled = (await parts[0]?.scope.db().append(calls)) ?? []
      let next = 0
      return await Promise.all(
        parts.map(async ({ request, scope }) => {
          const result = refused.has(request) ? undefined : settled[next++]
          if (result?.status !== 'fulfilled') {
            const reason = refused.get(request) ?? result?.reason
            return failure(await fixedFor(reason, request, options.catalog), request.rid, started)
          }
          if (result.value.replayed) scope.notes.replayed = true
          return success(request, result.value.d, scope, started)
        }),
      )
    } finally {
      for (const { done } of parts) done()
    }
  }

  return {
    async accept(raw, client) {
      const started = performance.now()
      try {
        const defaults = async (command: AnyCommand) => ({ ...client, ...(await state.defaults(command)) })
        return await prepare(options.catalog, raw, defaults)
      } catch (error) {
        return failure(error, ridOf(raw), started)
      }
    },
    run,
    async runAppends(requests) {
      const started = performance.now()
      const [first] = requests
      try {
        // a statement goes to one database: neighbours of another one run by themselves
        if (requests.every((request) => request.common.database_url === first?.common.database_url))
          return await runTogether(requests, started)
      } catch (error) {
        return requests.map((request) => failure(error, request.rid, started))
      }
      const replies: Reply[] = []
      for (const request of requests) replies.push(await run(request, async () => {}))
      return replies
    },
    maxLineBytes: state.maxLineBytes(),
    refuse: (error, rid) => failure(withVerb(options.catalog, error), rid, performance.now()),
    inputEnded() {
      state.renewing = false
      state.inputEnd.abort()
    },
    startRenewing() {
      state.renewing = true
      stopRenewing = startRenewing(() => {
        const maxHoldMs = state.maxHoldMs()
        const open = state.connections.all().filter(({ db }) => state.authority.mayRenew(db))
        return open.map(({ db, holdings }) => ({ db, holdings, maxHoldMs }))
      })
    },
    startRetention() {
      stopRetention = startRetention(async () => {
        // a process without a database of its own has none to keep: it would start one
        if (state.connections.all().length === 0) return
        const accepted = await prepare(options.catalog, { cmd: 'prune' }, state.defaults)
        await run(accepted, async () => {})
      })
    },
    async mayRun(raw) {
      try {
        const request = await prepare(options.catalog, raw, state.defaults)
        const { scope, done } = openScope(state, request, async () => {})
        try {
          const { principal } = await admit(state, request, scope)
          return { principal }
        } finally {
          done()
        }
      } catch (error) {
        return { refusal: toSwarmError(error) }
      }
    },
    shutdown: () => state.stop.abort(),
    hurry() {
      state.hurry.abort()
      return state.finishes
    },
    async close() {
      stopRenewing()
      stopRetention()
      await state.connections.close()
    },
  }
}

/** A bare word in place of a request may be a verb or anything: one that is none is not offered as a request. */
function withVerb({ loaders }: Catalog, error: SwarmError): SwarmError {
  const { fix } = error
  if (!fix || Object.keys(fix).length > 1 || Object.hasOwn(loaders, fix.cmd)) return error
  return error.with({ fix: { cmd: 'describe' } })
}
