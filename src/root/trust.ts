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
import { maskUrl, maskWords } from '../contract/secrets.ts'
import { SWARM_DIR } from './find.ts'
import { userConfigDir } from './user-config.ts'

type Env = Readonly<Record<string, string | undefined>>

/** What of a configuration names a server or a command. It does nothing until the user has trusted it. */
export interface ActiveKeys {
  readonly database_url?: string
  readonly listen_url?: string
  /** The words of each gate, by `<workflow>.<stage>`. */
  readonly gates?: Readonly<Record<string, readonly string[]>>
  /** How the sessions of each role are run: all of it decides what is run. */
  readonly agents?: NonNullable<SwarmConfig['agents']>
  /** What decides who works on which bead, by which workflow and with which program. */
  readonly rules?: NonNullable<SwarmConfig['rules']>
  /** The SHA-256 of what agents are told at a stage, by stage, and how many characters that are. */
  readonly prompts?: Readonly<Record<string, string>>
  /** Where landed commits are pushed to. */
  readonly push?: string
  /** Who is told what happens, and where requests go to. */
  readonly notify?: NonNullable<SwarmConfig['notify']>
  /** Whose word `swarm serve` takes for where a request comes from and was meant for. */
  readonly proxies?: readonly string[]
}

/** Commands that a refusal shows, and characters of each: it is read by people. */
const MOST_SHOWN = 20
const LONGEST = 300

/** The active keys of a configuration, and the prompts beside it; null when there are none, and so nothing needs trust. */
export function activeKeys(
  config: SwarmConfig,
  prompts: Readonly<Record<string, string>> = {},
): ActiveKeys | null {
  const told = Object.entries(prompts).map(([stage, text]) => [stage, hashOfText(text)] as const)

  const gates = Object.entries(config.workflows ?? {}).flatMap(([workflow, { stages }]) =>
    stages.flatMap(({ name, gate }) => (gate ? [[`${workflow}.${name}`, gate] as const] : [])),
  )
  const active = {
    ...(config.database_url === undefined ? {} : { database_url: config.database_url }),
    ...(config.listen_url === undefined ? {} : { listen_url: config.listen_url }),
    ...(gates.length === 0 ? {} : { gates: Object.fromEntries(gates) }),
    ...(config.agents && Object.keys(config.agents).length > 0 ? { agents: config.agents } : {}),
    ...(config.rules?.length ? { rules: config.rules } : {}),
    ...(told.length > 0 ? { prompts: Object.fromEntries(told) } : {}),
    ...(config.landing?.remote === undefined ? {} : { push: config.landing.remote }),
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
    landing,
    http,
    workflows,
    ...rest
  } = config
  const { remote: _remote, ...landed } = landing ?? {}
  const { trust_proxy: _proxies, ...served } = http ?? {}
  const passive = { ...rest, ...(landing ? { landing: landed } : {}), ...(http ? { http: served } : {}) }
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

/** What active keys would do, as it may be shown: passwords masked, long ones cut. */
export interface Shown {
  /** In words, each without an object: "connect to …", "run …". */
  readonly does: readonly string[]
  /** How many more commands there are than are shown. */
  readonly more: number
}

/** What active keys would do, in words. */
export function showActive(active: ActiveKeys): Shown {
  const {
    database_url,
    listen_url,
    push,
    gates = {},
    agents = {},
    rules = [],
    prompts = {},
    notify = {},
    proxies = [],
  } = active
  const runs = [
    ...Object.entries(gates).map(([stage, words]) => `run ${shownWords(words)} as the gate of ${stage}`),
    ...Object.entries(agents).map(([role, { adapter, command = [], args = [], env = {} }]) => {
      const names = Object.keys(env).join(' ')
      const words = command.length + args.length > 0 ? ` ${shownWords([...command, ...args])}` : ''
      return `run ${adapter}${words} for the role ${role}${names ? `, with ${names} set` : ''}`.slice(
        0,
        LONGEST,
      )
    }),
    ...Object.entries(prompts).map(
      ([stage, hash]) =>
        `tell agents at the stage ${stage} what ${SWARM_DIR}/prompts/${stage}.md says (SHA-256 ${hash.slice(0, 16)}…)`,
    ),
    ...rules.map(({ name, match: _match, ...outcome }, at) => {
      const what = Object.entries(outcome).map(([key, value]) => `${key} ${value}`)
      const own = name === undefined ? '' : ` (${name})`
      return `give beads of rule ${at + 1}${own} ${what.length > 0 ? what.join(', ') : 'nothing of their own'}`.slice(
        0,
        LONGEST,
      )
    }),
  ]
  const servers = [
    ...(database_url === undefined ? [] : [`connect to ${maskUrl(database_url).slice(0, LONGEST)}`]),
    ...(listen_url === undefined ? [] : [`listen at ${maskUrl(listen_url).slice(0, LONGEST)}`]),
    ...(push === undefined ? [] : [`push to ${maskUrl(push).slice(0, LONGEST)}`]),
    ...Object.entries(notify).map(([name, target]) => {
      // only the host: paths of such URLs are secrets
      const url = target.kind === 'webhook' ? target.url : (target.api_url ?? 'https://api.telegram.org')
      const secret = target.kind === 'webhook' ? target.secret_env : target.token_env
      return `tell ${new URL(url).host} what happens, as ${name}, with the secret in ${secret}`
    }),
    ...(proxies.length === 0
      ? []
      : [`believe what ${proxies.join(', ').slice(0, LONGEST)} says of where requests come from`]),
  ]
  return { does: [...servers, ...runs.slice(0, MOST_SHOWN)], more: Math.max(0, runs.length - MOST_SHOWN) }
}

function shownWords(words: readonly string[]): string {
  const text = JSON.stringify(maskWords(words))
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}… (${text.length} characters)` : text
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
