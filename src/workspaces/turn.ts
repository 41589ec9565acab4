import { link, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { standingOfProcess, thisProcess } from '../process/index.ts'

/** What waits for its turn, with the name of its process. */
const WAITING = 'swarm-worktrees-'
const PAUSE_MS = 10
/** Longer than git takes to make or remove a worktree. Whoever is slower, or was stopped meanwhile, goes on beside the others. */
const PATIENCE_MS = 2_000

/**
 * Runs a change of a repository's worktrees while no other swarm process of this machine runs one: git does not lock the list of worktrees, and
 * one that is being made is taken for a broken one by others, or removed. A turn is a file that only one can link; that of a process that
 * is gone, or has taken too long, is taken away. It guards against accidents: nothing is lost where two run at once, a command fails.
 */
export async function takeTurn<T>(commonDir: string, change: () => Promise<T>): Promise<T> {
  const lock = join(commonDir, 'swarm-worktrees.lock')
  const mine = `${thisProcess()} ${crypto.randomUUID()}`
  const own = join(commonDir, `${WAITING}${thisProcess()}-${mine.slice(-12)}`)
  await writeFile(own, mine)
  try {
    await acquire(lock, own)
    await sweep(commonDir)
    return await change()
  } finally {
    if ((await holder(lock)) === mine) await rm(lock, { force: true })
    await rm(own, { force: true })
  }
}

async function acquire(lock: string, own: string): Promise<void> {
  let seen: string | undefined
  let since = performance.now()
  for (;;) {
    try {
      return await link(own, lock)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
    const other = await holder(lock)
    if (other !== seen) since = performance.now()
    seen = other
    if (other === undefined) continue
    const isGone = standingOfProcess(other.split(' ')[0] ?? '') === 'gone'
    if (isGone || performance.now() - since > PATIENCE_MS) await takeAway(lock, other)
    else await delay(PAUSE_MS)
  }
}

/** Takes a turn away, unless it is another one by now: that is given back. */
async function takeAway(lock: string, other: string): Promise<void> {
  const aside = join(dirname(lock), `${WAITING}${thisProcess()}-${crypto.randomUUID().slice(-12)}`)
  try {
    await rename(lock, aside)
    if ((await holder(aside)) !== other) await link(aside, lock)
  } catch {
    // somebody else was quicker
  }
  await rm(aside, { force: true })
}

/** Removes what processes that were killed have left while they waited. */
async function sweep(commonDir: string): Promise<void> {
  for (const name of await readdir(commonDir)) {
    if (!name.startsWith(WAITING)) continue
    const maker = name.slice(WAITING.length).replace(/-[^-]*$/, '')
    if (standingOfProcess(maker) === 'gone') await rm(join(commonDir, name), { force: true })
  }
}

async function holder(lock: string): Promise<string | undefined> {
  return readFile(lock, 'utf8').catch(() => undefined)
}
