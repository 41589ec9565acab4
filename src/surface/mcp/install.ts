import { existsSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { SwarmError } from '../../contract/errors.ts'
import { isJsonObject, type JsonObject } from '../../contract/json.ts'
import type { ClientName } from './options.ts'
import { readOwn, writeOwn } from './own-file.ts'

/** How a client starts `swarm mcp`. */
interface Start {
  readonly command: string
  readonly args: readonly string[]
}

/** A wait of 100 s must fit into what a client lets a call take, in seconds. */
const TOOL_SECONDS = 180
/** Variables that Codex is to hand on; it starts servers with an environment of its own. */
const HANDED_ON = ['DATABASE_URL', 'SWARM_ROOT', 'SWARM_REPO', 'SWARM_AGENT_ID', 'SWARM_TOKEN']

/** Variables that Gemini CLI keeps from servers unless their entry names them: it takes them for secrets. Absent ones come as empty. */
const HELD_BACK = ['DATABASE_URL', 'SWARM_TOKEN']

export interface Installation {
  readonly client: ClientName
  /** Where the client reads it. */
  readonly path: string
  /** What is to stand there, if nothing else does. */
  readonly content: string
  readonly written: boolean
}

/**
 * The configuration by which a client starts `swarm mcp`, and with `write` puts it into the client's file. An entry called swarm that starts
 * something else, a file that cannot be read as it should, and a link are left alone: EXISTS or INVALID.
 */
export function install(
  client: ClientName,
  args: readonly string[],
  { write, cwd, env }: { write: boolean; cwd: string; env: NodeJS.ProcessEnv },
): Installation {
  const start = startOf(args, env)
  const path = fileOf(client, cwd, env)
  const content = client === 'codex' ? codexTable(start) : jsonText(merged({}, client, start, path))
  if (!write) return { client, path, content, written: false }
  const there = readOwn(path)
  const next = client === 'codex' ? appended(there, content, path) : jsonMerged(there, client, start, path)
  if (next === there) return { client, path, content, written: false }
  writeOwn(path, next)
  return { client, path, content, written: true }
}

/** By its name where the shell finds this very program, else by its path. */
function startOf(args: readonly string[], { PATH = '' }: NodeJS.ProcessEnv): Start {
  const launcher = [
    join(__dirname, '..', 'bin', 'swarm'),
    join(__dirname, '..', '..', '..', 'bin', 'swarm'),
  ].find(existsSync)
  const named = PATH.split(delimiter)
    .map((folder) => join(folder, 'swarm'))
    .find((file) => existsSync(file))
  if (!launcher || (named && realpathSync(named) === realpathSync(launcher)))
    return { command: 'swarm', args: ['mcp', ...args] }
  return { command: process.execPath, args: [launcher, 'mcp', ...args] }
}

function fileOf(client: ClientName, cwd: string, env: NodeJS.ProcessEnv): string {
  switch (client) {
    case 'claude':
      return join(cwd, '.mcp.json')
    case 'codex':
      return join(env.CODEX_HOME || join(env.HOME || homedir(), '.codex'), 'config.toml')
    case 'opencode':
      return join(cwd, 'opencode.json')
    case 'gemini':
      return join(cwd, '.gemini', 'settings.json')
  }
}

/** The key that holds the servers, and the entry of this one. */
function entryOf(client: Exclude<ClientName, 'codex'>, { command, args }: Start): [string, JsonObject] {
  switch (client) {
    case 'claude':
      return ['mcpServers', { type: 'stdio', command, args }]
    case 'opencode':
      return ['mcp', { type: 'local', command: [command, ...args], enabled: true }]
    case 'gemini':
      return [
        'mcpServers',
        {
          command,
          args,
          env: Object.fromEntries(HELD_BACK.map((name) => [name, `\${${name}:-}`])),
          timeout: TOOL_SECONDS * 1_000,
        },
      ]
  }
}

function merged(
  whole: JsonObject,
  client: Exclude<ClientName, 'codex'>,
  start: Start,
  path: string,
): JsonObject {
  const [key, entry] = entryOf(client, start)
  const servers = whole[key] ?? {}
  if (!isJsonObject(servers)) throw unreadable(path, `${key} is no object`)
  const { swarm } = servers
  if (swarm !== undefined && !startsSwarm(swarm)) throw taken(path, `${key}.swarm`)
  return { ...whole, [key]: { ...servers, swarm: entry } }
}

function jsonMerged(
  there: string | undefined,
  client: Exclude<ClientName, 'codex'>,
  start: Start,
  path: string,
): string {
  const whole = there === undefined || there.trim() === '' ? {} : parse(there, path)
  const next = merged(whole, client, start, path)
  // an entry that says the same leaves the file as it was written
  return there !== undefined && JSON.stringify(next) === JSON.stringify(whole) ? there : jsonText(next)
}

function parse(text: string, path: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw unreadable(path, 'it is not plain JSON')
  }
  if (!isJsonObject(value)) throw unreadable(path, 'it is no JSON object')
  return value
}

/** Whether an entry starts `swarm mcp`, by whatever path: then it is ours to renew. */
function startsSwarm(entry: unknown): boolean {
  return /"(?:[^"]*\/)?swarm","mcp"/.test(JSON.stringify(entry).replace('","args":["', '","'))
}

function jsonText(value: JsonObject): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

function codexTable({ command, args }: Start): string {
  // basic strings of TOML take what JSON writes
  return [
    '[mcp_servers.swarm]',
    `command = ${JSON.stringify(command)}`,
    `args = ${JSON.stringify(args)}`,
    `env_vars = ${JSON.stringify(HANDED_ON)}`,
    'default_tools_approval_mode = "approve"',
    'startup_timeout_sec = 30',
    `tool_timeout_sec = ${TOOL_SECONDS}`,
    '',
  ].join('\n')
}

/** The file with the table at its end. What is there of it already is not touched: it may have been changed by hand. */
function appended(there: string | undefined, table: string, path: string): string {
  if (there === undefined || there.trim() === '') return table
  if (there.includes(table)) return there
  if (/^\s*mcp_servers\s*(?:=|\.\s*["']?swarm["']?\s*[.=])/m.test(there)) throw taken(path, 'mcp_servers')
  if (/^\s*\[\s*mcp_servers\s*\.\s*["']?swarm["']?\s*[.\]]/m.test(there))
    throw taken(path, 'mcp_servers.swarm')
  return `${there.replace(/\n*$/, '\n')}\n${table}`
}

function taken(path: string, entry: string): SwarmError {
  return new SwarmError('EXISTS', `${path} has an entry ${entry} already; without --write it is printed`, {
    ctx: { field: entry, path },
  })
}

function unreadable(path: string, why: string): SwarmError {
  return new SwarmError('INVALID', `${path}: ${why}; without --write it is printed, to be put in by hand`, {
    area: 'configuration',
    ctx: { kind: 'Custom', field: 'path', path, folder: dirname(path) },
  })
}
