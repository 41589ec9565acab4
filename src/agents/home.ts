import { lstat, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Launch, SessionOrders } from './adapter.ts'

const SAFE_DEFAULTS = { LANG: 'C.UTF-8', TERM: 'dumb' }

/**
 * The whole environment of a session, built from nothing: PATH, its own HOME and TMPDIR, what the adapter needs, the orchestrator's
 * variables, then the role's own. Of swarm's environment only the variables that the role names are in it.
 */
export function sessionEnvironment(orders: SessionOrders, launch: Launch): Record<string, string> {
  const { path, home, tmp, settings, operatorEnv = {} } = orders
  const passed = (settings.pass_env ?? []).flatMap((name) => {
    const value = operatorEnv[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return {
    ...SAFE_DEFAULTS,
    PATH: path,
    ...launch.env,
    ...orders.env,
    ...Object.fromEntries(passed),
    ...settings.env,
    HOME: home,
    TMPDIR: tmp,
  }
}

/**
 * Makes the session's directories, the files that the adapter wants in its HOME, and links to the operator's login. A link and not a
 * copy: a login that is renewed while it is used would be lost in a copy, and end the operator's own.
 */
export async function makeHome(
  { home, tmp, settings, operatorEnv }: SessionOrders,
  launch: Launch,
): Promise<void> {
  await mkdir(home, { recursive: true, mode: 0o700 })
  await mkdir(tmp, { recursive: true, mode: 0o700 })
  for (const { path, text } of launch.files ?? []) {
    const file = join(home, path)
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    await writeFile(file, text, { mode: 0o600 })
  }
  const owner = operatorEnv?.HOME
  if (owner === undefined || owner === home || settings.login === 'none') return
  for (const path of launch.loginFiles ?? []) await linkLogin(join(owner, path), join(home, path))
}

async function linkLogin(from: string, to: string): Promise<void> {
  if (!(await exists(from)) || (await exists(to))) return
  await mkdir(dirname(to), { recursive: true, mode: 0o700 })
  await symlink(from, to)
}

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  )
