import { lstat, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
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
    const file = await placeIn(home, path)
    await rm(file, { recursive: true, force: true })
    await writeFile(file, text, { mode: 0o600, flag: 'wx' })
  }
  const owner = operatorEnv?.HOME
  if (owner === undefined || owner === home || settings.login === 'none') return
  for (const path of launch.loginFiles ?? []) {
    const from = join(owner, path)
    if (!(await exists(from))) continue
    const to = await placeIn(home, path)
    if (!(await exists(to))) await symlink(from, to)
  }
}

/**
 * Where a file of a HOME is, after its directories were made. An earlier session may have written to this HOME: a link that it has left
 * would lead out of it, where the agent itself may have no right to write.
 */
async function placeIn(home: string, path: string): Promise<string> {
  let at = home
  for (const part of dirname(path).split('/')) {
    at = join(at, part)
    const found = await lstat(at).catch(() => undefined)
    if (found && !found.isDirectory()) await rm(at)
    await mkdir(at, { recursive: true, mode: 0o700 })
  }
  return join(home, path)
}

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  )
