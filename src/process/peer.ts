import type { Readable, Writable } from 'node:stream'
import { childEnvironment, type Environment } from './environment.ts'
import { endGroup, rememberGroup, signalGroup } from './group.ts'
import { type Argv, type Exit, startChild } from './spawn.ts'
import { startWatchdog } from './watchdog.ts'
import { within } from './within.ts'

export interface PeerOptions {
  readonly argv: Argv
  readonly cwd: string
  readonly env?: Environment
  readonly withDatabase?: boolean
  /** `own` (unless said) makes the peer the leader of a group; `parent` leaves it in ours, to be ended with us. */
  readonly group?: 'own' | 'parent'
  readonly stderr?: 'pipe' | 'inherit' | 'ignore'
  /** Its group ends also when this process is killed. Only with a group of its own. */
  readonly watched?: boolean
}

/** A long-lived child that is talked to over stdin and stdout. */
export interface Peer {
  readonly pid: number
  readonly stdin: Writable
  readonly stdout: Readable
  /** Only with `stderr: 'pipe'`. */
  readonly stderr: Readable | null
  readonly exited: Promise<Exit>
  /** Signals the peer and, when it leads a group, all of its processes. */
  kill(signal: NodeJS.Signals): void
  /** Closes stdin, waits `graceMs` for the peer to leave, then ends it and its group. Resolves when it is gone. */
  end(graceMs: number): Promise<Exit>
}

const TERM_GRACE_MS = 1_000

/** Starts a peer; resolves once it runs. A missing binary is DEPENDENCY. */
export async function spawnPeer(options: PeerOptions): Promise<Peer> {
  const { argv, cwd, env, withDatabase, group = 'own', stderr = 'inherit', watched = false } = options
  const child = await startChild(argv, {
    cwd,
    env: childEnvironment(process.env, env, withDatabase),
    detached: group === 'own',
    stderr,
  })
  const { pid, stdin, stdout, exited } = child
  if (group === 'own') rememberGroup(pid)
  if (watched) {
    const watchdog = await startWatchdog()
    watchdog.watch(pid)
    exited.then(() => watchdog.stop())
  }
  let gone = false
  exited.then(() => {
    gone = true
  })

  const kill = (signal: NodeJS.Signals) => {
    if (group === 'own') signalGroup(pid, signal)
    else if (!gone) child.kill(signal)
  }
  return {
    pid,
    stdin,
    stdout,
    stderr: child.stderr,
    exited,
    kill,
    async end(graceMs) {
      stdin.end()
      await within(exited, graceMs)
      if (group === 'own') {
        await endGroup(pid, gone ? 0 : TERM_GRACE_MS)
      } else if (!gone) {
        kill('SIGTERM')
        await within(exited, TERM_GRACE_MS)
        kill('SIGKILL')
      }
      return exited
    },
  }
}
