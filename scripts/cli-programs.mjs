/**
 * The programs that `npm run test:cli` and `npm run test:mcp` run, pinned: agent programs that the adapters were seen to work with, and what
 * the makers of MCP test servers with. They are fetched from the npm registry on demand into a cache folder outside the repository, and
 * never redistributed.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const CACHE = join(process.env.XDG_CACHE_HOME ?? tmpdir(), 'swarm-cli')

const CPU = process.arch
const OS = process.platform

/** Programs by name: the platform's own binary is started, not a launcher around it. */
export const PROGRAMS = {
  claude: {
    package: '@anthropic-ai/claude-code',
    version: '2.1.197',
    files: [`@anthropic-ai/claude-code-${OS}-${CPU}/claude`],
  },
  codex: {
    package: '@openai/codex',
    version: '0.169.0',
    files: [`@openai/codex-${OS}-${CPU}/vendor/*/bin/codex`],
  },
  opencode: {
    package: 'opencode-ai',
    version: '1.18.33',
    files: [`opencode-${OS}-${CPU}/bin/opencode`, `opencode-${OS}-${CPU}-baseline/bin/opencode`],
  },
  gemini: {
    package: '@google/gemini-cli',
    version: '0.61.0',
    files: ['@google/gemini-cli/bundle/gemini.js', '@google/gemini-cli/dist/index.js'],
  },
}

/** What checks a server of MCP. `force`: its own word on which Node it wants is passed over. `node`: the program that runs it instead. */
export const MCP_PROGRAMS = {
  inspector: {
    package: '@modelcontextprotocol/inspector',
    version: '2.12.0',
    files: ['@modelcontextprotocol/inspector/clients/launcher/build/index.js'],
    force: true,
  },
  conformance: {
    package: '@modelcontextprotocol/conformance',
    version: '0.1.13',
    files: ['@modelcontextprotocol/conformance/dist/index.js'],
  },
  // the first that knows the revision 2026-07-28, which needs a newer Node than this project
  'conformance-2026': {
    package: '@modelcontextprotocol/conformance',
    version: '0.2.0-alpha.12',
    files: ['@modelcontextprotocol/conformance/dist/index.js'],
    force: true,
    node: 'node24',
  },
  node24: {
    package: `node-${OS}-${CPU}`,
    version: '24.21.0',
    files: [`node-${OS}-${CPU}/bin/node`],
  },
}

const INSTALL_MS = 300_000

/** Makes sure that a program is in the cache: `{argv, version}`, or `{missing}` with the reason. */
export function provide(name) {
  const { package: pack, version, files, force, node } = { ...PROGRAMS, ...MCP_PROGRAMS }[name]
  const runner = node ? provide(node) : { argv: [process.execPath] }
  if (runner.missing) return runner
  const dir = join(CACHE, `${name}-${version}`)
  if (!existsSync(dir)) {
    const problem = install(`${pack}@${version}`, dir, force)
    if (problem) return { missing: `${pack}@${version} could not be installed: ${problem}` }
  }
  const file = files.flatMap((pattern) => find(join(dir, 'node_modules'), pattern))[0]
  if (!file) return { missing: `${pack}@${version} has no program for ${OS}-${CPU}` }
  return { version, argv: file.endsWith('.js') ? [...runner.argv, file] : [file] }
}

/** Installs into a folder of its own and puts it in place when it is whole; answers what went wrong. */
function install(what, dir, force = false) {
  const fresh = `${dir}.${process.pid}`
  mkdirSync(fresh, { recursive: true })
  writeFileSync(join(fresh, 'package.json'), '{"private":true}')
  const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--silent', what]
  if (force) args.push('--force')
  const { status, stderr, error } = spawnSync('npm', args, {
    cwd: fresh,
    encoding: 'utf8',
    timeout: INSTALL_MS,
  })
  if (status === 0) {
    renameSync(fresh, dir)
    return undefined
  }
  rmSync(fresh, { recursive: true, force: true })
  return (error?.message ?? stderr.trim().split('\n').at(-1)) || `npm ended with ${status}`
}

/** Files that fit a pattern with at most one star; Node 20 has no glob. */
function find(root, pattern) {
  const [before, after] = pattern.split('/*/')
  const dirs = after === undefined ? [''] : entriesOf(join(root, before))
  return dirs.map((dir) => join(root, before, dir, after ?? '')).filter((file) => existsSync(file))
}

const entriesOf = (dir) => (existsSync(dir) ? readdirSync(dir) : [])
