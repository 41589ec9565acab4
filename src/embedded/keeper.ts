import { existsSync, type FSWatcher, utimesSync, watch } from 'node:fs'
import { join } from 'node:path'
import { ask } from './ask.ts'
import { RECORD_VARIABLE } from './keeper-start.ts'
import { boundLog } from './log-file.ts'
import { pathsOf, type ServerPaths } from './paths.ts'
import {
  dataDirOfPointer,
  markStopped,
  POINTER_FILE,
  type Pointer,
  readPointer,
  socketPath,
} from './pointer.ts'
import { isAlive, serverProcesses, titleOf } from './processes.ts'
import { endPostmaster } from './stop.ts'
import { EMBEDDED_USER, type KeeperOptions } from './terms.ts'

const TICK_MS = 60_000
/** The shortest idle time is noticed a quarter late at most. */
const TICKS_PER_IDLE = 4
/** How often to look at a server that is on its way out. */
const STOPPING_MS = 500

/**
 * Sessions opened so far in all databases but the one the keeper itself asks from, and the milliseconds since a client did
 * something. The first catches clients that come and go between two looks.
 */
const ACTIVITY = `
  select coalesce((select sum(sessions) from pg_stat_database where datname <> 'postgres'), 0)::bigint,
    (select extract(epoch from clock_timestamp() - max(case when state = 'idle' then state_change else clock_timestamp() end))
      * 1000 from pg_stat_activity
      where backend_type in ('client backend', 'walsender') and pid <> pg_backend_pid())::bigint`

/** The work of `runKeeper`. */
export async function keep(swarmDir: string, options: KeeperOptions): Promise<void> {
  const id = process.env[RECORD_VARIABLE]
  const paths = pathsOf(swarmDir, false)
  const first = id === undefined ? null : paths && readPointer(paths.swarmDir, id)
  if (!paths || !first?.pid) return
  const alarm = makeAlarm(first.socket_dir)
  const idle = { sessions: '', since: performance.now() }
  try {
    for (;;) {
      if (!existsSync(paths.swarmDir)) return await endHomeless(first)
      const pointer = ours(paths, first.pid, id)
      if (!pointer) return
      utimesSync(join(paths.swarmDir, POINTER_FILE), new Date(), new Date())
      boundLog(paths)
      await look(pointer, idle)
      const idleMs = performance.now() - idle.since
      if (pointer.idle_stop_ms > 0 && idleMs >= pointer.idle_stop_ms) {
        await endPostmaster(first.pid)
        markStopped(paths.swarmDir, first.pid, id)
        return
      }
      const isCutOff = !existsSync(socketPath(pointer.socket_dir, pointer.port))
      await alarm.wait(isCutOff ? STOPPING_MS : (options.tickMs ?? tickOf(pointer.idle_stop_ms)))
    }
  } finally {
    alarm.close()
  }
}

/** How often to look, for an idle time. */
export function tickOf(idleStopMs: number): number {
  return idleStopMs > 0 ? Math.min(TICK_MS, Math.max(250, idleStopMs / TICKS_PER_IDLE)) : TICK_MS
}

/** The pointer while server `pid` lives and this process is its keeper; else null. Notes a death in the pointer. */
function ours(paths: ServerPaths, pid: number, id: string | undefined): Pointer | null {
  const pointer = readPointer(paths.swarmDir, id)
  if (pointer?.pid !== pid) return null
  const { postmasters } = serverProcesses(dataDirOfPointer(paths.swarmDir, pointer), pointer.cluster)
  if (!postmasters.includes(pid) || !isAlive(pid)) {
    markStopped(paths.swarmDir, pid, id)
    return null
  }
  // another process found us missing and started a second one
  return pointer.keeper_pid === null || pointer.keeper_pid === process.pid ? pointer : null
}

/** The working copy was deleted or moved; data that lies elsewhere would keep its server for ever. */
async function endHomeless({ pid, cluster }: Pointer): Promise<void> {
  if (pid !== null && titleOf(pid).includes(` cluster_name=${cluster} `)) await endPostmaster(pid)
}

/** Asks the server whether anybody did anything. No answer is no sign of idleness. */
async function look(pointer: Pointer, idle: { sessions: string; since: number }): Promise<void> {
  const answer = await ask({
    socket: socketPath(pointer.socket_dir, pointer.port),
    user: EMBEDDED_USER,
    database: 'postgres',
    sql: ACTIVITY,
    timeoutMs: 10_000,
  })
  const [sessions, quietMs] = (answer.state === 'ready' ? answer.rows[0] : null) ?? []
  const now = performance.now()
  if (typeof sessions !== 'string' || sessions !== idle.sessions) idle.since = now
  else if (typeof quietMs === 'string') idle.since = Math.max(idle.since, now - Number(quietMs))
  idle.sessions = sessions ?? idle.sessions
}

/** Rings when the socket's directory changes: that is where the end of a server shows first. */
function makeAlarm(dir: string): { wait(ms: number): Promise<void>; close(): void } {
  let ring = () => {}
  let rang = false
  const onChange = () => {
    rang = true
    ring()
  }
  const watcher = watchDir(dir, onChange)
  return {
    wait: (ms) =>
      new Promise((resolve) => {
        const timer = setTimeout(done, rang ? 20 : ms)
        function done() {
          clearTimeout(timer)
          ring = () => {}
          rang = false
          resolve()
        }
        ring = done
      }),
    close: () => watcher?.close(),
  }
}

function watchDir(dir: string, onChange: () => void): FSWatcher | null {
  try {
    // an error here costs a minute of noticing, not the server
    return watch(dir, onChange).on('error', () => {})
  } catch {
    return null
  }
}
