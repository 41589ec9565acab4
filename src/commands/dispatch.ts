import type { AnyCommand } from '../contract/command.ts'
import type { CommonFields, WriteFields } from '../contract/common.ts'
import type { CommandContext, Database, ExecuteOptions, Holdings, Root, WriteCall } from '../contract/context.ts'
import type { RenderRequest, Reply, Rid } from '../contract/envelope.ts'
import { type FixRequest, SwarmError } from '../contract/errors.ts'
import type { Json, JsonObject } from '../contract/json.ts'
import { parseRequest } from '../contract/parse.ts'
import { noRoot } from '../db/target.ts'
import { loadRoot, repoOf } from '../root/config.ts'
import { createConnections } from './shared/connections.ts'
import { toSwarmError } from './shared/faults.ts'
import { startRenewing } from './shared/renew.ts'
import { loadCommand } from './shared/verbs.ts'

/** A parsed request, ready to run. */
export interface Prepared {
  readonly rid: Rid | undefined
  readonly waits: boolean
  readonly appends: boolean
  readonly command: AnyCommand
  readonly common: CommonFields
  readonly write: WriteFields
  readonly input: Record<string, unknown>
}

export interface DispatcherOptions {
  readonly env: CommandContext['env']
  readonly cwd: string
  readonly render: RenderRequest
  readonly surface: 'pipe' | 'oneshot'
}

/** Runs requests. One per process: it owns the connections, the claims and the shutdown signal. */
export interface Dispatcher {
  /** Parses a request; never throws. */
  accept(raw: JsonObject): Promise<Prepared | Reply>
  /** Runs one request; never throws. */
  run(request: Prepared): Promise<Reply>
  /** Runs appends together; never throws. */
  runAppends(requests: readonly Prepared[]): Promise<readonly Reply[]>
  refuse(error: SwarmError, rid?: Rid): Reply
  /** The pipe's input has ended: claims made from now on are not renewed. */
  inputEnded(): void
  /** Renews the claims of this process until it closes. */
  startRenewing(): void
  /** Makes every open wait answer `shutdown`. */
  shutdown(): void
  close(): Promise<void>
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const session = `${Math.random().toString(36).slice(2, 10)}${Math.random().toString(36).slice(2, 10)}`
  const stop = new AbortController()
  const connections = createConnections(session)
  let root: Root | null | undefined
  let operations = 0
  let renewing = false
  let stopRenewing = () => {}

  const currentRoot = (): Root | null => {
    root ??= loadRoot(options.cwd, options.env)
    return root
  }

  /** What a request runs with: the outermost one opens the database, its parts share it. */
  interface Scope {
    readonly db: () => Database
    readonly holdings: () => Holdings
    readonly key: string
  }

  const scopeOf = (request: Prepared): Scope => {
    const target = () => connections.get(request.common, options.env, currentRoot())
    return {
      db: () => target().db,
      holdings: () => target().holdings,
      key: request.write.idem ?? `${session}-${++operations}`,
    }
  }

  const repoFor = (request: Prepared): string => {
    const named = request.common.repo ?? (options.env.SWARM_REPO || undefined)
    if (named !== undefined && hasOwnDatabase(request)) return named
    const here = currentRoot()
    if (!here) throw noRoot()
    return named ?? repoOf(here)
  }
  const hasOwnDatabase = (request: Prepared): boolean =>
    request.common.database_url !== undefined || Boolean(options.env.DATABASE_URL)

  interface Notes {
    next?: FixRequest
    replayed?: true
  }

  const contextFor = (request: Prepared, scope: Scope, notes: Notes): CommandContext => {
    const needs = request.command.needs ?? 'database'
    let parts = 0
    return {
      repo: needs === 'database' ? repoFor(request) : (request.common.repo ?? ''),
      root: needs === 'database' && hasOwnDatabase(request) ? safeRoot(currentRoot) : currentRoot(),
      cwd: options.cwd,
      env: options.env,
      get db() {
        return scope.db()
      },
      rid: request.rid,
      key: scope.key,
      dry: request.write.dry ?? false,
      session,
      get holdings() {
        return scope.holdings()
      },
      renews: renewing,
      signal: stop.signal,
      render: options.render,
      next(fix) {
        notes.next = fix
      },
      replayed() {
        notes.replayed = true
      },
      async execute(raw: JsonObject, part: ExecuteOptions = {}) {
        const prepared = await prepare({ ...inherited(request), ...raw })
        const key = prepared.write.idem ?? `${scope.key}/${++parts}`
        const inner: Scope = {
          db: () => part.db ?? scope.db(),
          holdings: () => part.holdings ?? scope.holdings(),
          key,
        }
        const innerNotes: Notes = {}
        const d = await perform(prepared, inner, innerNotes)
        if (innerNotes.replayed) notes.replayed = true
        return d
      },
    }
  }

  const prepare = async (raw: JsonObject): Promise<Prepared> => {
    const command = await loadCommand(raw)
    const parsed = await parseRequest(command, raw, defaultsFrom(options.env))
    const { common, write } = parsed
    const waits = command.waits?.(parsed.input) ?? false
    return {
      command,
      common,
      write,
      input: parsed.input,
      rid: common.rid,
      waits,
      appends: 'append' in command && !write.dry && !common.state,
    }
  }

  const perform = async (request: Prepared, scope: Scope, notes: Notes): Promise<Json> => {
    const { command, input } = request
    if (command.needs === 'root' && !currentRoot()) throw noRoot()
    const ctx = contextFor(request, scope, notes)
    if (request.write.dry) {
      const would = await command.dry?.(ctx, input)
      return { dry: true, would_do: would ?? [describeRequest(request)] }
    }
    if ('append' in command) {
      const [settled] = await ctx.db.append([appendCall(request, ctx)])
      if (settled?.status !== 'fulfilled') throw settled?.reason
      if (settled.value.replayed) notes.replayed = true
      ctx.db.notify(ctx.repo)
      return settled.value.d
    }
    const d = await command.run(ctx, input)
    if (command.effect === 'write' && (command.needs ?? 'database') === 'database') ctx.db.notify(ctx.repo)
    // what a command answers is JSON: its output schema says so
    return d as Json
  }

  const appendCall = (request: Prepared, ctx: CommandContext): WriteCall => {
    if (!('append' in request.command)) throw new Error(`${request.command.name} does not append`)
    return request.command.append(ctx, request.input)
  }

  const failure = (error: unknown, rid: Rid | undefined, started: number): Reply => ({
    ok: false,
    ...(rid === undefined ? {} : { rid }),
    ...times(started),
    error: toSwarmError(error),
  })

  const success = async (request: Prepared, d: Json, notes: Notes, started: number): Promise<Reply> => ({
    ok: true,
    ...(request.rid === undefined ? {} : { rid: request.rid }),
    d,
    ...(request.common.state ? { state: await totals(request) } : {}),
    ...(notes.next ? { next: notes.next } : {}),
    ...(notes.replayed ? { replayed: true } : {}),
    ...times(started),
  })

  const totals = async (request: Prepared) => {
    const { db } = connections.get(request.common, options.env, currentRoot())
    const [row] = await db.read<{ total: number; active: number }>(
      `select count(*)::integer as total, (count(*) filter (where status = 'in_progress'))::integer as active
       from swarm.bead_backlog where repo_id = $1`,
      [repoFor(request)],
    )
    return row ?? { total: 0, active: 0 }
  }

  return {
    async accept(raw) {
      const started = performance.now()
      try {
        return await prepare(raw)
      } catch (error) {
        return failure(error, ridOf(raw), started)
      }
    },
    async run(request) {
      const started = performance.now()
      const notes: Notes = {}
      try {
        const d = await perform(request, scopeOf(request), notes)
        return await success(request, d, notes, started)
      } catch (error) {
        return failure(error, request.rid, started)
      }
    },
    async runAppends(requests) {
      const started = performance.now()
      const [first] = requests
      // a statement goes to one database: neighbours of another one run by themselves
      if (!first || requests.some((r) => r.common.database_url !== first.common.database_url)) {
        const replies: Reply[] = []
        for (const request of requests) replies.push(await this.run(request))
        return replies
      }
      try {
        const contexts = requests.map((request) => contextFor(request, scopeOf(request), {}))
        const [ctx] = contexts
        if (!ctx) return []
        const calls = requests.map((request, at) => appendCall(request, contexts[at] ?? ctx))
        const settled = await ctx.db.append(calls)
        for (const repo of new Set(calls.map((call) => call.repo))) ctx.db.notify(repo)
        return await Promise.all(
          requests.map((request, at) => {
            const result = settled[at]
            if (result?.status !== 'fulfilled') return failure(result?.reason, request.rid, started)
            return success(request, result.value.d, result.value.replayed ? { replayed: true } : {}, started)
          }),
        )
      } catch (error) {
        return requests.map((request) => failure(error, request.rid, started))
      }
    },
    refuse: (error, rid) => failure(error, rid, performance.now()),
    inputEnded() {
      renewing = false
    },
    startRenewing() {
      renewing = true
      stopRenewing = startRenewing(() => {
        const maxHoldMs = root?.config.max_hold_ms
        return connections.all().map(({ db, holdings }) => ({ db, holdings, maxHoldMs }))
      })
    },
    shutdown: () => stop.abort(),
    async close() {
      stopRenewing()
      await connections.close()
    },
  }
}

/** What the parts of a request take over from it. */
function inherited(request: Prepared): JsonObject {
  const { repo, database_url, connect_timeout_ms } = request.common
  return {
    ...(repo === undefined ? {} : { repo }),
    ...(database_url === undefined ? {} : { database_url }),
    ...(connect_timeout_ms === undefined ? {} : { connect_timeout_ms }),
  }
}

function defaultsFrom(env: CommandContext['env']): { agent_id?: number; repo?: string } {
  const text = env.SWARM_AGENT_ID
  if (!text) return {}
  const id = Number(text)
  if (Number.isInteger(id) && id >= 1) return { agent_id: id }
  throw new SwarmError('INVALID', 'SWARM_AGENT_ID must be a whole number from 1', {
    area: 'configuration',
    ctx: { kind: 'InvalidValue', field: 'SWARM_AGENT_ID', expected: 'integer >= 1', got: text.slice(0, 80) },
  })
}

function describeRequest(request: Prepared): string {
  const fields = Object.entries(request.input).filter(([, value]) => value !== undefined)
  return [request.command.name, ...fields.map(([name, value]) => `${name}=${JSON.stringify(value)?.slice(0, 80)}`)].join(' ')
}

function times(started: number): { t: number; ms: number } {
  return { t: Date.now(), ms: Math.round(performance.now() - started) }
}

function ridOf(raw: JsonObject): Rid | undefined {
  const { rid } = raw
  if (typeof rid === 'string') return rid.length <= 256 ? rid : undefined
  return Number.isSafeInteger(rid) ? Number(rid) : undefined
}

/** Where the root is only an extra, a broken one does not matter. */
function safeRoot(load: () => Root | null): Root | null {
  try {
    return load()
  } catch {
    return null
  }
}
