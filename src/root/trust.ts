import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { SwarmConfig } from '../contract/config.ts'
import { SwarmError } from '../contract/errors.ts'
import { isJsonObject, type JsonObject } from '../contract/json.ts'
import type { ActiveKeys } from './active-keys.ts'
import { SWARM_DIR } from './find.ts'
import { showActive } from './show-active.ts'
import { userConfigDir } from './user-config.ts'

type Env = Readonly<Record<string, string | undefined>>

/** The active keys of a configuration, and the prompts beside it; null when there are none, and so nothing needs trust. */
export function activeKeys(
  config: SwarmConfig,
  prompts: Readonly<Record<string, string>> = {},
): ActiveKeys | null {
  const told = Object.entries(prompts).map(([stage, text]) => [stage, hashOfText(text)] as const)

  const gates = Object.entries(config.workflows ?? {}).flatMap(([workflow, { stages }]) =>
    stages.flatMap(({ name, gate, gate_files }) => [
      ...(gate ? [[`${workflow}.${name}`, gate] as const] : []),
      ...(gate && gate_files ? [[`${workflow}.${name} files`, gate_files] as const] : []),
    ]),
  )
  const active = {
    ...(config.database_url === undefined ? {} : { database_url: config.database_url }),
    ...(config.listen_url === undefined ? {} : { listen_url: config.listen_url }),
    ...(gates.length === 0 ? {} : { gates: Object.fromEntries(gates) }),
    ...(config.agents && Object.keys(config.agents).length > 0 ? { agents: config.agents } : {}),
    ...(config.rules?.length ? { rules: config.rules } : {}),
    ...(told.length > 0 ? { prompts: Object.fromEntries(told) } : {}),
    ...(config.orchestrator?.workspace_command ? { workspace: config.orchestrator.workspace_command } : {}),
    ...(config.landing?.remote === undefined ? {} : { push: config.landing.remote }),
    ...(config.landing?.mode === 'pull_request' ? { pull_requests: config.landing.pull_request ?? {} } : {}),
    ...(config.notify && Object.keys(config.notify).length > 0 ? { notify: config.notify } : {}),
    ...(config.http?.trust_proxy?.length ? { proxies: config.http.trust_proxy } : {}),
  }
  return Object.keys(active).length === 0 ? null : active
}

/** The configuration without its active keys: what an untrusted one may decide. */
export function passiveConfig(config: SwarmConfig): SwarmConfig {
  const {
    database_url: _url,
    listen_url: _listen,
    agents: _agents,
    rules: _rules,
    notify: _notify,
    orchestrator,
    landing,
    http,
    workflows,
    ...rest
  } = config
  const { remote: _remote, mode: _mode, pull_request: _commands, ...landed } = landing ?? {}
  const { workspace_command: _workspace, ...driven } = orchestrator ?? {}
  const { trust_proxy: _proxies, ...served } = http ?? {}
  const passive = {
    ...rest,
    ...(orchestrator ? { orchestrator: driven } : {}),
    ...(landing ? { landing: landed } : {}),
    ...(http ? { http: served } : {}),
  }
  const hasGates = Object.values(workflows ?? {}).some(({ stages }) => stages.some(({ gate }) => gate))
  return workflows && !hasGates ? { ...passive, workflows } : passive
}

/** A SHA-256 of active keys, in hex; the order in which they stand in the file does not matter. */
export function hashOf(active: ActiveKeys): string {
  return hashOfText(canonical(active))
}

function hashOfText(text: string): string {
  const { createHash } = process.getBuiltinModule('node:crypto')
  return createHash('sha256').update(text).digest('hex')
}

/** True when the user has trusted exactly these keys of this root, or says by `SWARM_TRUST=1` that all is trusted. */
export function isTrusted(root: string, active: ActiveKeys, env: Env): boolean {
  if (env.SWARM_TRUST === '1') return true
  const place = placeOf(root)
  const kept = readRecord(recordFile(place.path, env))
  return kept !== null && canonical(kept) === canonical({ ...place, hash: hashOf(active) })
}

/** True when the user has trusted active keys of this root and now it has none: what took its gates away is asked about, too. */
export function hasLost(root: string, env: Env): boolean {
  // nobody who has never trusted anything pays for the look
  if (env.SWARM_TRUST === '1' || !existsSync(trustedDir(env))) return false
  const place = placeOf(root)
  const { hash, ...where } = readRecord(recordFile(place.path, env)) ?? {}
  return canonical(where) === canonical(place) && hash !== hashOf({})
}

/** Remembers that the user trusts these keys of this root; false when that was so. Written whole or not at all, for the user only. */
export function rememberTrust(root: string, active: ActiveKeys, env: Env): boolean {
  const place = placeOf(root)
  const file = recordFile(place.path, env)
  const record = { ...place, hash: hashOf(active) }
  const kept = readRecord(file)
  if (kept !== null && canonical(kept) === canonical(record)) return false
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const { randomBytes } = process.getBuiltinModule('node:crypto')
  const draft = `${file}.${randomBytes(8).toString('hex')}`
  try {
    writeFileSync(draft, `${JSON.stringify(record)}\n`, { mode: 0o600, flag: 'wx' })
    renameSync(draft, file)
  } finally {
    rmSync(draft, { force: true })
  }
  return true
}

/**
 * Why the active keys of this root do nothing, with what they would do and how a person consents. There is no `fix`: an agent sends a fix
 * unread, and consent is for the person to give who has read what it is for.
 */
export function untrusted(root: string, active: ActiveKeys): SwarmError {
  const { does, more } = showActive(active)
  const would = [...does, ...(more > 0 ? [`run ${more} more commands`] : [])]
  const file = join(root, SWARM_DIR, 'config.toml')
  const what =
    would.length > 0
      ? `names servers or commands, and nobody has trusted it as it is now. With it swarm would ${would.join('; ')}`
      : 'named servers or commands when it was trusted, and names none now: what they did, such as gates, would not be done'
  return new SwarmError(
    'INVALID',
    `${file} ${what}. Whoever answers for this machine reads that and, if it is wanted, runs \`swarm trust\` in ${root}; an agent asks that person and does not trust by itself`,
    {
      area: 'configuration',
      ctx: { kind: 'Custom', field: 'trust', file, hash: hashOf(active), would },
    },
  )
}

/** A root by what a copy or a successor of it does not share. */
function placeOf(root: string): { readonly path: string; readonly device: string; readonly inode: string } {
  const path = realpathSync(root)
  const { dev, ino } = statSync(join(path, SWARM_DIR), { bigint: true })
  return { path, device: String(dev), inode: String(ino) }
}

function recordFile(path: string, env: Env): string {
  const { createHash } = process.getBuiltinModule('node:crypto')
  const name = createHash('sha256').update(path).digest('hex').slice(0, 32)
  return join(trustedDir(env), `${name}.json`)
}

function trustedDir(env: Env): string {
  return join(userConfigDir(env), 'trusted')
}

/** A record that the caller alone can have written; null when there is none. */
function readRecord(file: string): JsonObject | null {
  const found = lstatSync(file, { throwIfNoEntry: false })
  if (!found?.isFile() || found.uid !== process.geteuid?.() || (found.mode & 0o022) !== 0) return null
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return isJsonObject(value) ? value : null
  } catch {
    return null
  }
}

/** JSON with the names of each object in order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) =>
    isJsonObject(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([one], [other]) => (one < other ? -1 : 1)))
      : inner,
  )
}
