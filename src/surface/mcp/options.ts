import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { SwarmError } from '../../contract/errors.ts'

export const CLIENTS = ['claude', 'codex', 'opencode', 'gemini'] as const
export type ClientName = (typeof CLIENTS)[number]

/** What a command line of `swarm mcp` asks for. */
export type McpIntent =
  | { readonly kind: 'help' }
  | { readonly kind: 'serve'; readonly env: NodeJS.ProcessEnv }
  | {
      readonly kind: 'install'
      readonly client: ClientName
      readonly write: boolean
      /** The words after `mcp` that the client is to start it with. */
      readonly args: readonly string[]
    }

export const USAGE = `Usage: swarm mcp [--agent N] [--token-file FILE] [--repo REPO] [--root DIR]
       swarm mcp --install CLIENT [--write] [the same]

Serves the Model Context Protocol on stdin and stdout: the agent's loop as tools, every other verb through swarm_call.

  --agent N          the agent that this client is; then its calls need not say it (or SWARM_AGENT_ID)
  --token-file FILE  holds the token that this client speaks with, readable by its owner only (or SWARM_TOKEN)
  --repo REPO        the tenant; the root's own by default (or SWARM_REPO)
  --root DIR         the directory that holds .swarm/; found from the working directory by default (or SWARM_ROOT)
  --install CLIENT   prints the configuration of claude, codex, opencode or gemini
  --write            writes it: into the project's file, for codex into its config.toml; other entries stay
`

const VALUES = ['agent', 'token-file', 'repo', 'root'] as const

/** Reads the words after `mcp`. Throws CLI_ERROR, and INVALID for a file that cannot hold a token. */
export function readMcpLine(argv: readonly string[], env: NodeJS.ProcessEnv): McpIntent {
  const values = parse(argv)
  if (values.help) return { kind: 'help' }
  const { agent, install, write = false } = values
  if (agent !== undefined && !/^[1-9]\d{0,9}$/.test(agent))
    throw wrong('--agent', 'a whole number from 1', agent)
  if (install === undefined) {
    if (write) throw wrong('--write', '--install CLIENT beside it', 'nothing to write')
    return { kind: 'serve', env: environment(values, env) }
  }
  const client = CLIENTS.find((one) => one === install)
  if (!client) throw wrong('--install', CLIENTS.join(', '), install)
  const args = VALUES.flatMap((name) => {
    const value = values[name]
    return value === undefined ? [] : [`--${name}`, value]
  })
  return { kind: 'install', client, write, args }
}

type Values = Partial<Record<(typeof VALUES)[number] | 'install', string>> & {
  readonly write?: boolean
  readonly help?: boolean
}

function parse(argv: readonly string[]): Values {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        agent: text,
        'token-file': text,
        repo: text,
        root: text,
        install: text,
        write: flag,
        help: { ...flag, short: 'h' },
      },
    })
    return values
  } catch (error) {
    const message = error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error)
    throw new SwarmError('CLI_ERROR', `swarm mcp: ${message}`, {
      ctx: { kind: 'Custom', field: 'arguments', expected: 'swarm mcp --help' },
    })
  }
}

/** The environment with what the arguments say: clients start their servers with an empty one. */
function environment(values: Values, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const file = values['token-file']
  return {
    ...env,
    ...(values.agent === undefined ? {} : { SWARM_AGENT_ID: values.agent }),
    ...(values.repo === undefined ? {} : { SWARM_REPO: values.repo }),
    ...(values.root === undefined ? {} : { SWARM_ROOT: values.root }),
    ...(file === undefined ? {} : { SWARM_TOKEN: readToken(file) }),
  }
}

const MAX_TOKEN_BYTES = 1_024

function readToken(path: string): string {
  let fd: number | undefined
  try {
    fd = openSync(path, 'r')
    const { mode, size } = fstatSync(fd)
    if ((mode & 0o077) !== 0) throw badFile(path, `others may read it: chmod 600 ${path}`)
    const token = size > MAX_TOKEN_BYTES ? '' : readFileSync(fd, 'utf8').trim()
    if (!/^\S+$/.test(token)) throw badFile(path, 'it holds no token')
    return token
  } catch (error) {
    if (error instanceof SwarmError) throw error
    throw badFile(path, error instanceof Error && 'code' in error ? String(error.code) : 'it cannot be read')
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function badFile(path: string, why: string): SwarmError {
  return new SwarmError('INVALID', `--token-file ${path}: ${why}`, {
    area: 'configuration',
    ctx: {
      kind: 'InvalidValue',
      field: 'token-file',
      expected: 'a file with a token, for its owner only',
      got: path,
    },
  })
}

function wrong(field: string, expected: string, got: string): SwarmError {
  return new SwarmError('CLI_ERROR', `${field} takes ${expected}`, {
    ctx: { kind: 'InvalidValue', field, expected, got: got.slice(0, 80) },
  })
}
