import { may, needOf, reachOf } from '../contract/authority.ts'
import type { Database } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import type { Principal, Reach } from '../contract/roles.ts'
import { rememberToken } from '../contract/secrets.ts'
import type { Prepared } from './prepare.ts'
import { type Access, createAccessCache, FRESH_MS, hashToken } from './principal.ts'

/** As whom a request runs. */
export interface Standing {
  readonly principal: Principal | null
  /** Nobody has shown a token, and the repo has no operator's yet. */
  readonly unowned: boolean
}

export interface AuthorityOptions {
  /** `SWARM_TOKEN`. */
  readonly token: string | undefined
  /** True where a process stands between whoever asks and this machine (HTTP, MCP): nothing runs without a token then. */
  readonly strict: boolean
  /** Set where the requests come over a network. */
  readonly remote?: { readonly shared: boolean } | undefined
  /** Whether the configuration asks for tokens, whatever the database says. */
  readonly configured: () => boolean
  /** The database that this process has of its own, without a request that names one; undefined when it has none. */
  readonly home: () => Database | undefined
}

/** What is known of a request before its authority is. */
export interface Asked {
  readonly db: () => Database
  /** What to ask: a transaction of it, for a part of one. */
  readonly on: () => Database
  /** The repo that it would be about without a token. */
  readonly repo: () => string
  /** As whom the request runs that this one is a part of. */
  readonly whole?: Standing | undefined
}

/** Verbs by which whoever opens the database makes a repo's first operator's token. */
function isFirst({ command, input }: Prepared): boolean {
  return command.name === 'init-db' || (command.name === 'token' && input.action === 'create')
}

/** Decides for one process which requests run, and as whom. */
export function createAuthority(options: AuthorityOptions) {
  const { strict } = options
  const cache = createAccessCache()
  let token = options.token
  if (token !== undefined) rememberToken(token)
  let hash: Promise<string> | undefined
  let known: Principal | null = null
  let lapsed = false
  let looked = Number.NEGATIVE_INFINITY

  const ownHash = async (): Promise<string | null> => {
    if (token === undefined) return null
    hash ??= hashToken(token)
    return hash
  }
  const look = async (db: Database, repos: readonly string[], on?: Database): Promise<Access> => {
    const access = await cache.look(db, await ownHash(), repos, on)
    if (access.token && db === (options.home() ?? db)) {
      lapsed = !('principal' in access.token) && known !== null
      if ('principal' in access.token) known = access.token.principal
    }
    return access
  }
  /** Whom the process's own token stands for in the database of its own. */
  const atHome = async (db: Database): Promise<Principal | null> => {
    const { token: found } = await look(options.home() ?? db, [])
    return found && 'principal' in found ? found.principal : null
  }

  const admit = async (request: Prepared, asked: Asked): Promise<Standing> => {
    const { command, input, common } = request
    if (options.remote && common.database_url !== undefined) throw otherDatabase()
    if (needOf(command, input) === 'anyone') return { principal: known, unowned: false }
    const reach = reachOf(command, input)
    // any user of this machine reaches a port of it
    if (options.remote && token === undefined && isHostBound(command, reach)) throw noToken(undefined)
    if (reach === 'machine') {
      // whose machine it is says who may: asking the database would start it
      if (known) refuse(may(known, command, input, common))
      else if (strict) throw noToken(undefined)
      return { principal: known, unowned: false }
    }
    if (asked.whole?.principal) {
      refuse(may(asked.whole.principal, command, input, common))
      return asked.whole
    }
    const db = asked.db()
    if (token !== undefined && common.database_url !== undefined) {
      // what another database says of this token is no authority in this process
      const own = await atHome(db)
      if (own) refuse(may(own, command, input, common))
    }
    const repos = token === undefined && reach === 'repo' ? reposOf(asked.repo(), input) : []
    const access = await look(db, repos, asked.on())
    if (access.schema && command.name !== 'init-db') throw access.schema
    if (access.token && 'principal' in access.token) {
      refuse(may(access.token.principal, command, input, common))
      return { principal: access.token.principal, unowned: false }
    }
    const guarded =
      strict || access.guarded.length > 0 || (reach === 'database' && access.any) || options.configured()
    // a token that this database has never heard of says nothing where none is asked for
    const problem = access.token?.problem
    if (problem === 'expired' || problem === 'revoked' || (problem && (access.any || guarded)))
      throw badToken(problem)
    const unowned = !strict && access.unowned.length === repos.length
    if (guarded && !(unowned && isFirst(request))) throw noToken(access.guarded[0] ?? repos[0])
    return { principal: null, unowned: guarded && unowned }
  }

  return {
    admit,

    /** The agent that this process's token stands for, where that can be said without an error. */
    async agentOf(db: () => Database | undefined): Promise<number | undefined> {
      if (known) return known.agent_id
      const home = db()
      const found = home && (await atHome(home).catch(() => null))
      return found?.agent_id
    },

    /** Makes a token this process's own. A process speaks for one holder as long as it lives: it may hold claims. */
    async authenticate(shown: string, db: Database): Promise<Principal> {
      if (options.remote?.shared) throw showHeader()
      cache.clear()
      rememberToken(shown)
      const access = await cache.look(options.home() ?? db, await hashToken(shown), [])
      if (!access.token || !('principal' in access.token)) throw badToken(access.token?.problem ?? 'unknown')
      const { principal } = access.token
      if (known && !isSame(known, principal)) {
        throw new SwarmError('CONFLICT', 'this process speaks for another holder already; open another one', {
          ctx: { field: 'token', repo: known.repo, role: known.role },
        })
      }
      token = shown
      hash = undefined
      known = principal
      lapsed = false
      return principal
    },

    /** Whether this process may go on renewing its claims. Asks again in the background, so it knows within seconds. */
    mayRenew(db: Database): boolean {
      if (token === undefined || !known) return true
      if (performance.now() - looked > FRESH_MS) {
        looked = performance.now()
        // a database that is away renews nothing either
        look(db, []).catch(() => {})
      }
      return !lapsed
    },

    /** Who may do what has changed. */
    forget: () => cache.clear(),
    get hasToken() {
      return token !== undefined
    },
  }
}

export type Authority = ReturnType<typeof createAuthority>

function refuse(refusal: SwarmError | undefined): void {
  if (refusal) throw refusal
}

function isHostBound({ hostBound, effect }: Prepared['command'], reach: Reach): boolean {
  return hostBound ?? (reach === 'machine' || effect === 'local')
}

function isSame(one: Principal, other: Principal): boolean {
  return one.repo === other.repo && one.role === other.role && one.agent_id === other.agent_id
}

function reposOf(own: string, { repos }: Readonly<Record<string, unknown>>): readonly string[] {
  return [...new Set(Array.isArray(repos) ? repos.map(String) : [own])].sort()
}

function noToken(repo: string | undefined): SwarmError {
  return new SwarmError('UNAUTHORIZED', `${repo === undefined ? 'this' : `repo ${repo}`} asks for a token`, {
    ctx: { field: 'token', expected: 'hello, or SWARM_TOKEN', ...(repo === undefined ? {} : { repo }) },
  })
}

function badToken(problem: 'unknown' | 'expired' | 'revoked'): SwarmError {
  return new SwarmError('UNAUTHORIZED', `this token is ${problem}`, { ctx: { field: 'token', problem } })
}

function otherDatabase(): SwarmError {
  return new SwarmError('UNAUTHORIZED', 'over a network requests go to the database of the server', {
    ctx: { kind: 'InvalidValue', field: 'database_url', expected: 'no such field', got: '***' },
  })
}

function showHeader(): SwarmError {
  return new SwarmError('UNAUTHORIZED', 'here a token is shown with each request, as Authorization: Bearer', {
    ctx: { field: 'token', expected: 'the header Authorization' },
  })
}
