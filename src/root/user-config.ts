import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'smol-toml'
import { SwarmError } from '../contract/errors.ts'
import { isJsonObject } from '../contract/json.ts'

type Env = Readonly<Record<string, string | undefined>>

/** The user's own configuration directory: `$XDG_CONFIG_HOME/swarm`, else `~/.config/swarm`. */
export function userConfigDir(env: Env): string {
  return join(env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config'), 'swarm')
}

/**
 * The directories that the user calls safe whoever owns them: `safe_root` of `config.toml` in `userConfigDir`. None when there is
 * no such file, or when it is somebody else's (a HOME that sudo has kept). A file that cannot be understood is INVALID.
 */
export function safeRoots(env: Env): readonly string[] {
  const file = join(userConfigDir(env), 'config.toml')
  const found = statSync(file, { throwIfNoEntry: false })
  if (!found || found.uid !== process.geteuid?.() || (found.mode & 0o022) !== 0) return []
  let value: unknown
  try {
    value = parse(readFileSync(file, 'utf8'))
  } catch {
    throw wrong(file, 'is not TOML')
  }
  const listed = isJsonObject(value) ? (value.safe_root ?? []) : []
  if (!Array.isArray(listed) || !listed.every((path) => typeof path === 'string'))
    throw wrong(file, 'has a wrong value at safe_root: it is a list of absolute paths')
  return listed.map(String)
}

function wrong(file: string, problem: string): SwarmError {
  return new SwarmError('INVALID', `${file} ${problem}`, {
    area: 'configuration',
    ctx: { kind: 'InvalidValue', field: 'safe_root', file },
  })
}
