import type { Writable } from 'node:stream'
import type { AnyCommand, Catalog, CommandContext } from '../contract/command.ts'
import type { Database, ExecuteOptions, Holdings, Root } from '../contract/context.ts'
import type { Emit, RenderRequest, Rid } from '../contract/envelope.ts'
import type { FixRequest } from '../contract/errors.ts'
import type { Json, JsonObject } from '../contract/json.ts'
import { rememberEnvironment } from '../contract/secrets.ts'
import type { Defaults } from '../contract/try-parse.ts'
import { loadRoot, repoOf } from '../root/config.ts'
import { createAuthority, type Standing } from './authority.ts'
import { type Connections, createConnections, type Use, withOwnHoldings } from './connections.ts'
import { defaultsFrom, inherited, type Prepared, prepare } from './prepare.ts'
import { noRoot } from './target.ts'

export interface ProcessOptions {
  /** The verbs that requests may name. */
  readonly catalog: Catalog
  readonly env: CommandContext['env']
  readonly cwd: string
  readonly render: RenderRequest
  /** Where commands that run for a request show their output; nowhere unless given. */
  readonly echo?: Writable
  /** True where others than this machine's user send the requests (HTTP, MCP): nothing runs without a token then. */
  readonly strict?: boolean
  /** Serves the verbs over HTTP; only where a verb may turn this process into a server. */
  readonly serve?: CommandContext['serve']
  /** Set where the requests come over a network. */
  readonly remote?: Remote
}

/** One of several holders whose requests come into this process over a network. */
export interface Remote {
  /** The pools of the process. What is claimed over them stays with each holder. */
  readonly connections: Connections
  /** True where several clients send requests under this holder: `hello` must not make all of them somebody else. */
  readonly shared: boolean
}

/** What a request notes while it runs, for its envelope. */
export interface Notes {
  next?: FixRequest
  replayed?: true
  /** As whom it ran. */
  standing?: Standing
}

/** What a request runs with. Its parts share the database; a part of a transaction has its own. */
export interface Scope {
  /** Connects on first use; until the request is answered. */
  readonly connection: () => Use
  readonly db: () => Database
  readonly holdings: () => Holdings
  readonly key: string
  readonly signal: AbortSignal
  readonly emit: (lines: readonly Json[]) => Promise<void>
  readonly notes: Notes
  /** Of the request that this one is a part of. */
  readonly standing?: Standing
}

/** The state that all requests of one process share. */
export function createProcess(options: ProcessOptions) {
  const { catalog, env, cwd, render } = options
  const holder = randomId()
  rememberEnvironment(env)
  const connections = options.remote ? withOwnHoldings(options.remote.connections) : createConnections(holder)
  const stop = new AbortController()
  const inputEnd = new AbortController()
  const open = new Map<Rid, AbortController>()
  let root: Root | null = null
  let looked = false
  let operations = 0

  /** The root does not move while the process lives; that there is none may change, for `init` makes one. */
  const currentRoot = (): Root | null => {
    root ??= loadRoot(cwd, env)
    return root
  }
  /** Where the root is only an extra, it is looked for once, and a broken one does not matter. */
  const rootIfAny = (): Root | null => {
    if (looked) return root
    looked = true
    try {
      return currentRoot()
    } catch {
      return null
    }
  }
  const hasOwnDatabase = ({ common }: Prepared) =>
    common.database_url !== undefined || Boolean(env.DATABASE_URL)
  const connect = (request: Prepared): Use =>
    connections.use(request.common, env, hasOwnDatabase(request) ? rootIfAny() : currentRoot())

  const repoOfRequest = (request: Prepared, standing?: Standing): string => {
    const named = request.common.repo ?? standing?.principal?.repo ?? (env.SWARM_REPO || undefined)
    if (named !== undefined && hasOwnDatabase(request)) return named
    const here = currentRoot()
    if (!here) throw noRoot()
    return named ?? repoOf(here)
  }

  let home: Use | undefined
  /** The database that a request goes to which names none. Kept open: the process's token is looked up there. */
  const homeDatabase = (): Database | undefined => {
    try {
      home ??= connections.use({}, env, env.DATABASE_URL ? rootIfAny() : currentRoot())
    } catch {
      // none, or none yet: the request itself will say why
    }
    return home?.db
  }
  const authority = createAuthority({
    token: env.SWARM_TOKEN || undefined,
    strict: options.strict ?? false,
    remote: options.remote,
    configured: () => rootIfAny()?.config.auth === 'tokens',
    home: homeDatabase,
  })
  /** What a request leaves out: the token says it before the environment does. */
  const defaults = async (command: AnyCommand): Promise<Defaults> => {
    const said = defaultsFrom(env)
    if (!authority.hasToken || (command.needs ?? 'database') !== 'database') return said
    const agent_id = await authority.agentOf(homeDatabase)
    return agent_id === undefined ? said : { ...said, agent_id }
  }
  /** Throws UNAUTHORIZED when a request may not run. */
  const admit = (request: Prepared, scope: Scope): Promise<Standing> =>
    authority.admit(request, {
      db: () => scope.connection().db,
      on: () => scope.db(),
      repo: () => repoOfRequest(request),
      whole: scope.standing,
    })

  const state = {
    holder,
    authority,
    defaults,
    admit,
    connections,
    stop,
    inputEnd,
    renewing: false,
    maxLineBytes: () => rootIfAny()?.config.max_line_bytes,
    retention: () => rootIfAny()?.config.retention,
    maxHoldMs: () => rootIfAny()?.config.max_hold_ms,
    currentRoot,
    /** Its files may have changed: the next request finds and reads it again. */
    forgetRoot() {
      root = null
    },
    repoOfRequest,
    /** Ends a request that is still open; false when there is none with that `rid`. */
    cancel(rid: Rid): boolean {
      const found = open.get(rid)
      found?.abort()
      return found !== undefined
    },

    /** The scope of an outermost request. Call `done` when it has been answered. */
    scope(
      request: Prepared,
      emit: (lines: readonly Json[]) => Promise<void>,
      asked?: AbortSignal,
    ): { scope: Scope; end: () => void; done: () => void } {
      const { rid, waits } = request
      const own = new AbortController()
      const cancellable = waits && rid !== undefined
      if (cancellable) open.set(rid, own)
      const ends = cancellable || (waits && authority.hasToken)
      const signals = [stop.signal, ...(ends ? [own.signal] : []), ...(asked ? [asked] : [])]
      let use: Use | undefined
      const connection = () => {
        use ??= connect(request)
        return use
      }
      return {
        scope: {
          connection,
          db: () => connection().db,
          holdings: () => connection().holdings,
          key: request.write.idem ?? `${holder}-${++operations}`,
          signal: signals.length > 1 ? AbortSignal.any(signals) : stop.signal,
          emit,
          notes: {},
        },
        end: () => own.abort(),
        done: () => {
          use?.release()
          if (cancellable && open.get(rid) === own) open.delete(rid)
        },
      }
    },

    /** The context of a request. `perform` runs its parts. */
    context(
      request: Prepared,
      scope: Scope,
      standing: Standing,
      perform: (part: Prepared, scope: Scope) => Promise<Json>,
    ): CommandContext {
      const needs = request.command.needs ?? 'database'
      const needsDatabase = needs === 'database'
      const rootIsExtra = needs === 'nothing' || (needsDatabase && hasOwnDatabase(request))
      let parts = 0
      return {
        repo: needsDatabase ? repoOfRequest(request, standing) : (request.common.repo ?? ''),
        principal: standing.principal,
        unowned: standing.unowned,
        authenticate: (token) => authority.authenticate(token, scope.connection().db),
        root: rootIsExtra ? rootIfAny() : currentRoot(),
        catalog,
        cwd,
        env,
        render,
        echo: options.echo,
        serve: options.serve,
        holder,
        databaseUrl: request.common.database_url ?? (env.DATABASE_URL || undefined),
        rid: request.rid,
        key: scope.key,
        dry: request.write.dry ?? false,
        renews: state.renewing,
        signal: scope.signal,
        inputEnd: inputEnd.signal,
        get stopping() {
          return stop.signal.aborted
        },
        emit: scope.emit,
        get db() {
          return scope.db()
        },
        get holdings() {
          return scope.holdings()
        },
        get cursors() {
          return scope.connection().cursors
        },
        next(fix) {
          scope.notes.next = fix
        },
        replayed() {
          scope.notes.replayed = true
        },
        cancel: state.cancel,
        async execute(raw: JsonObject, part: ExecuteOptions = {}) {
          const prepared = await prepare(catalog, { ...inherited(request), ...raw }, defaults)
          const notes: Notes = {}
          const d = await perform(prepared, {
            ...scope,
            standing,
            db: () => part.db ?? scope.db(),
            holdings: () => part.holdings ?? scope.holdings(),
            key: prepared.write.idem ?? part.key ?? `${scope.key}/${++parts}`,
            notes,
          })
          if (notes.replayed) scope.notes.replayed = true
          return d
        },
      }
    },
  }
  return state
}

export type Process = ReturnType<typeof createProcess>

/** Unique among processes, and made without loading the crypto module; it is a name, not a secret. */
function randomId(): string {
  const part = () => Math.random().toString(36).slice(2, 10).padEnd(8, '0')
  return part() + part()
}

/** Makes envelopes of the lines that a request emits. */
export function emitter(
  request: Prepared,
  emit: Emit,
  started: number,
): (lines: readonly Json[]) => Promise<void> {
  return (lines) =>
    emit(
      lines.map((d) => ({
        ok: true,
        ...(request.rid === undefined ? {} : { rid: request.rid }),
        ...times(started),
        d,
        more: true,
      })),
    )
}

/** Unix milliseconds, and whole milliseconds since `started` of `performance.now()`. */
export function times(started: number): { t: number; ms: number } {
  return { t: Date.now(), ms: Math.round(performance.now() - started) }
}
