import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { CommandContext } from '../contract/command.ts'
import { CONFIG_FILE, loadRoot, readConfig, repoOf } from '../root/config.ts'
import { findRoot, SWARM_DIR } from '../root/find.ts'
import { checkOwnership } from '../root/ownership.ts'
import { toSwarmError } from '../runtime/faults.ts'
import { bad, type Check, good } from './types.ts'

/** What package.json asks for. */
const OLDEST_NODE = [20, 19] as const

/** What can be checked without a database: the machine and the working copy. */
export function checkPlace({ cwd, env }: CommandContext): Check[] {
  const path = findRoot(cwd, env)
  return [
    node(process.versions.node),
    root(path, env),
    ...(path ? [owner(path, env), config(path), ...trust(cwd, env), git(path)] : []),
  ]
}

/** The repo to be checked: asked for, set, or that of the root; undefined where there is none. */
export function repoOfPlace({ repo, env, root: here }: CommandContext): string | undefined {
  return repo || env.SWARM_REPO || (here ? repoOf(here) : undefined)
}

export function node(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [oldest, oldestMinor] = OLDEST_NODE
  const isOld = major < oldest || (major === oldest && minor < oldestMinor)
  return isOld
    ? bad('node', `this is Node ${version}; swarm needs ${OLDEST_NODE.join('.')} or newer`)
    : good('node', version)
}

function root(path: string | null, env: CommandContext['env']): Check {
  if (path) return good('root', path)
  const where = env.SWARM_ROOT ? `in SWARM_ROOT (${env.SWARM_ROOT})` : 'here or above'
  return bad('root', `there is no ${SWARM_DIR} directory ${where}`, { cmd: 'init' })
}

/** Nothing where there is nothing to trust, or the configuration cannot be read, which another check says. */
function trust(cwd: string, env: CommandContext['env']): Check[] {
  try {
    const { distrust } = loadRoot(cwd, env) ?? {}
    return distrust ? [bad('trust', distrust.message, distrust.fix)] : []
  } catch {
    return []
  }
}

function owner(path: string, env: CommandContext['env']): Check {
  try {
    checkOwnership(path, CONFIG_FILE, env)
    return good('owner', env.SWARM_ROOT ? 'SWARM_ROOT names it' : 'nobody else can change it')
  } catch (error) {
    return bad('owner', toSwarmError(error).message)
  }
}

function config(path: string): Check {
  const file = join(path, SWARM_DIR, CONFIG_FILE)
  if (!existsSync(file)) return bad('config', `there is no ${file}`, { cmd: 'bootstrap' })
  try {
    readFileSync(file)
    readConfig(file)
    return good('config', file)
  } catch (error) {
    return bad('config', `${file}: ${toSwarmError(error).message}`)
  }
}

/** `.swarm/` holds a database and maybe a password: it must not be committed. */
function git(path: string): Check {
  const file = join(path, SWARM_DIR, '.gitignore')
  if (existsSync(file) && /^\*$/m.test(readFileSync(file, 'utf8')))
    return good('git', `${SWARM_DIR} is ignored`)
  if (!insideGit(path)) return good('git', 'not a git repository')
  return existsSync(file)
    ? bad('git', `${file} does not ignore everything: a line * is missing`)
    : bad('git', `${SWARM_DIR} is not ignored by git`, { cmd: 'bootstrap' })
}

function insideGit(path: string): boolean {
  for (let dir = path; ; dir = dirname(dir)) {
    if (existsSync(join(dir, '.git'))) return true
    if (dir === dirname(dir)) return false
  }
}
