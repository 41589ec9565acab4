/**
 * The real agent programs that `npm run test:cli` runs, pinned: what the adapters were seen to work with. They are fetched from the npm
 * registry on demand into a cache folder outside the repository, and never redistributed.
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

const INSTALL_MS = 300_000

/** Makes sure that a program is in the cache: `{argv, version}`, or `{missing}` with the reason. */
export function provide(name) {
  const { package: pack, version, files } = PROGRAMS[name]
  const dir = join(CACHE, `${name}-${version}`)
  if (!existsSync(dir)) {
    const problem = install(`${pack}@${version}`, dir)
    if (problem) return { missing: `${pack}@${version} could not be installed: ${problem}` }
  }
  const file = files.flatMap((pattern) => find(join(dir, 'node_modules'), pattern))[0]
  if (!file) return { missing: `${pack}@${version} has no program for ${OS}-${CPU}` }
  return { version, argv: file.endsWith('.js') ? [process.execPath, file] : [file] }
}

/** Installs into a folder of its own and puts it in place when it is whole; answers what went wrong. */
function install(what, dir) {
  const fresh = `${dir}.${process.pid}`
  mkdirSync(fresh, { recursive: true })
  writeFileSync(join(fresh, 'package.json'), '{"private":true}')
  const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--silent', what]
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
