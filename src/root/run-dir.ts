import { lstatSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { SWARM_DIR } from './find.ts'

/** The socket of the resident of the root at `root`, in a directory that nobody else may enter. */
export function socketOf(root: string): { readonly dir: string; readonly socket: string } {
  const dir = join(root, SWARM_DIR, 'run')
  return { dir, socket: join(dir, 'resident.sock') }
}

/** What an address of a Unix socket can hold, in bytes, on every system. */
export const MAX_PATH_BYTES = 103

/** Whether what is there was made by this user, who alone may enter it, and is no link. */
export function isOwn(path: string, kind: 'directory' | 'socket'): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (!found || found.uid !== process.getuid?.()) return false
  return kind === 'directory' ? found.isDirectory() && (found.mode & 0o077) === 0 : found.isSocket()
}

const PROBE_MS = 1_000

/** Whether a process reads the socket that is there. */
export function isRead(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket)
    const end = (read: boolean) => {
      probe.destroy()
      resolve(read)
    }
    probe.setTimeout(PROBE_MS, () => end(false))
    probe.once('connect', () => end(true))
    probe.once('error', () => end(false))
  })
}
