import { type Child, startChild } from './spawn.ts'

/** Reads the group, then waits until nobody can write to it any more. It is constant text: no shell reads a command of anybody. */
const SCRIPT = `read -r group || exit 0
read -r _ && exit 0
kill -s TERM -- "-$group" || exit 0
sleep 2
kill -s KILL -- "-$group"`

export interface Watchdog {
  /** From now on this group is ended when this process is gone. */
  watch(pgid: number): void
  stop(): void
}

/**
 * A process that ends a group when this one was killed and could not do it itself (SIGKILL, a second SIGTERM): its stdin then
 * closes. It sits in a session of its own, out of reach of what ends this one. Without a POSIX shell there is none.
 */
export async function startWatchdog(): Promise<Watchdog> {
  const child: Child | undefined = await startChild(['sh', '-c', SCRIPT], {
    cwd: '/',
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin' },
    detached: true,
    stderr: 'ignore',
  }).catch(() => undefined)
  return {
    watch: (pgid) => void child?.stdin.write(`${pgid}\n`),
    stop() {
      child?.kill('SIGKILL')
      child?.stdin.destroy()
      child?.stdout.destroy()
    },
  }
}
