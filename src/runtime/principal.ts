import type { Database } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import { isJsonObject, type JsonObject } from '../contract/json.ts'
import type { Principal, Role } from '../contract/roles.ts'
import { knownSchema, newerSchema, olderSchema, parseBuild } from '../db/schema.ts'

/** What a database says of a token and of the repos that a request is about. */
export interface Access {
  /** Absent without a token. */
  readonly token?: { readonly principal: Principal } | { readonly problem: 'unknown' | 'expired' | 'revoked' }
  /** The repos of the request that ask for a token. */
  readonly guarded: readonly string[]
  /** Those that have no usable operator's token. */
  readonly unowned: readonly string[]
  /** Whether some repo of this database asks for one. */
  readonly any: boolean
  /** Why this program must not use the database: it has no tables of swarm, or those of another version. */
  readonly schema?: SwarmError
}

/** An answer counts for so long: a token that is revoked is refused within this, by every process. */
export const FRESH_MS = 4_000

const LOOK = 'select swarm.access($1::text, array(select json_array_elements_text($2::text::json))) as d'

/** Answers of the databases of one process, kept for some seconds. */
export interface AccessCache {
  /** `hash` is null without a token. `on`: what to ask, where that is not the database itself but a transaction of it. */
  look(db: Database, hash: string | null, repos: readonly string[], on?: Database): Promise<Access>
  clear(): void
}

export function createAccessCache(now: () => number = () => performance.now()): AccessCache {
  let known = new WeakMap<Database, Map<string, { readonly at: number; readonly access: Promise<Access> }>>()
  return {
    look(db, hash, repos, on = db) {
      const answers = known.get(db) ?? new Map()
      known.set(db, answers)
      const key = JSON.stringify([hash, ...repos])
      const found = answers.get(key)
      if (found && now() - found.at < FRESH_MS) return found.access
      // a client may name any number of repos
      if (answers.size > 1_000) answers.clear()
      const access = look(on, hash, repos)
      answers.set(key, { at: now(), access })
      // whoever upgrades it need not wait
      access.then(({ schema }) => schema && answers.delete(key)).catch(() => answers.delete(key))
      return access
    },
    clear() {
      known = new WeakMap()
    },
  }
}

async function look(db: Database, hash: string | null, repos: readonly string[]): Promise<Access> {
  try {
    const [row] = await db.read<{ d: JsonObject }>(LOOK, [hash, JSON.stringify(repos)])
    return readAccess(row?.d ?? {})
  } catch (error) {
    // a database without swarm's tables, or with those of an older version, guards nothing yet
    if (!(error instanceof SwarmError) || error.code !== 'DEPENDENCY' || error.fix?.cmd !== 'init-db')
      throw error
    const token = hash === null ? {} : { token: { problem: 'unknown' as const } }
    return { ...token, guarded: [], unowned: repos, any: false, schema: error }
  }
}

function readAccess(d: JsonObject): Access {
  const list = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : [])
  const schema = typeof d.build === 'string' ? schemaProblem(d.build) : olderSchema(1)
  const rest = {
    guarded: list(d.guarded),
    unowned: list(d.unowned),
    any: d.any === true,
    ...(schema ? { schema } : {}),
  }
  if (!isJsonObject(d.token)) return rest
  const { principal, problem } = d.token
  if (isJsonObject(principal)) return { ...rest, token: { principal: readPrincipal(principal) } }
  return { ...rest, token: { problem: problem === 'expired' || problem === 'revoked' ? problem : 'unknown' } }
}

let told = false

/** Functions of another build at the same version are used, as a release may change nothing else, and reported once. */
function schemaProblem(build: string): SwarmError | undefined {
  const found = parseBuild(build)
  const known = knownSchema()
  if (found.version > known.version) return newerSchema(found.version)
  if (found.version < known.version) return olderSchema(found.version)
  if (found.functions !== known.functions && !told) {
    told = true
    const message = 'the functions of the database are those of another build of swarm: doctor says more'
    import('../logger.ts').then(({ getLogger }) => getLogger().warn({}, message)).catch(() => {})
  }
  return undefined
}

function readPrincipal(d: JsonObject): Principal {
  const agent_id = typeof d.agent_id === 'number' ? d.agent_id : undefined
  return {
    id: agent_id === undefined ? `token:${d.token_id}` : `agent:${agent_id}`,
    token_id: Number(d.token_id),
    repo: String(d.repo),
    // safe: a check of the table api_tokens lets no other role in
    role: d.role as Role,
    ...(agent_id === undefined ? {} : { agent_id }),
    ...(typeof d.name === 'string' ? { name: d.name } : {}),
    ...(typeof d.expires_at === 'string' ? { expires_at: d.expires_at } : {}),
  }
}

/** A new token: 256 random bits behind a known prefix. It is shown once; what is kept of it is `hash`. */
export async function makeToken(): Promise<{ readonly token: string; readonly hash: string }> {
  const { randomBytes } = await import('node:crypto')
  const token = `swarm_${randomBytes(32).toString('base64url')}`
  return { token, hash: await hashToken(token) }
}

/** SHA-256 in hex. */
export async function hashToken(token: string): Promise<string> {
  const { createHash } = await import('node:crypto')
  return createHash('sha256').update(token).digest('hex')
}
