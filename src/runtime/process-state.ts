import type { Writable } from 'node:stream'
import type { AnyCommand, Catalog, CommandContext } from '../contract/command.ts'
import type { Database, Root } from '../contract/context.ts'
import type { RenderRequest, Rid } from '../contract/envelope.ts'
import { rememberEnvironment } from '../contract/secrets.ts'
import type { Defaults } from '../contract/try-parse.ts'
import { loadRoot, repoOf } from '../root/config.ts'
import { createAuthority, type Standing } from './authority.ts'
import { type Connections, createConnections, type Use, withOwnHoldings } from './connections.ts'
import { defaultsFrom, type Prepared } from './prepare.ts'
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
  /** The pools of another holder in this process, where they are shared. */
  readonly connections?: Connections
  /** The key of the first write that brings none: it may have been sent before. */
  readonly operationKey?: string | undefined
}

/** One of several holders whose requests come into this process over a network. */
export interface Remote {
  /** The pools of the process. What is claimed over them stays with each holder. */
  readonly connections: Connections
  /** True where several clients send requests under this holder: `hello` must not make all of them somebody else. */
  readonly shared: boolean
}

/** The state that all requests of one process share. */
export function createProcessState(options: ProcessOptions) {
  const { env, cwd } = options
  const holder = randomId()
  rememberEnvironment(env)
  const shared = options.remote?.connections ?? options.connections
  const connections = shared ? withOwnHoldings(shared) : createConnections(holder)
  const stop = new AbortController()
  const inputEnd = new AbortController()
  const hurry = new AbortController()
  /** Requests that wait, by their rid. */
  const waiting = new Map<Rid, AbortController>()
  let root: Root | null = null
  let looked = false
  let operations = 0

  /** The root does not move while the process lives; that there is none may change, for `init` makes one. */
  const currentRoot = (): Root | null => {
    // it may have been trusted since, by another process
    if (!root || root.distrust) root = loadRoot(cwd, env)
    return root
  }
  /** Where the root is only an extra, it is looked for once, and a broken one does not matter. */
  const rootIfAny = (): Root | null => {
    if (looked && !root?.distrust) return root
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

  return {
    options,
    holder,
    authority,
    defaults,
    connections,
    connect,
    stop,
    inputEnd,
    hurry,
    /** A request is open that finishes work after `stop`, and ends it at `hurry`. */
    finishes: false,
    waiting,
    /** Ends a request that is still open; false when there is none with that `rid`. */
    cancel(rid: Rid): boolean {
      const found = waiting.get(rid)
      found?.abort()
      return found !== undefined
    },
    /** Whether claims made now are renewed by this process. */
    renewing: false,
    /** An operation key for a request that brought none. */
    newKey() {
      operations += 1
      return operations === 1 && options.operationKey !== undefined
        ? options.operationKey
        : `${holder}-${operations}`
    },
    maxLineBytes: () => rootIfAny()?.config.max_line_bytes,
    maxHoldMs: () => rootIfAny()?.config.max_hold_ms,
    currentRoot,
    rootIfAny,
    hasOwnDatabase,
    /** Its files may have changed: the next request finds and reads it again. */
    forgetRoot() {
      root = null
    },
    repoOfRequest,
  }
}

export type ProcessState = ReturnType<typeof createProcessState>

/** Unique among processes, and made without loading the crypto module; it is a name, not a secret. */
function randomId(): string {
  const part = () => Math.random().toString(36).slice(2, 10).padEnd(8, '0')
  return part() + part()
}
