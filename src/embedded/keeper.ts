import { existsSync, type FSWatcher, watch } from 'node:fs'
import { ask } from './ask.ts'
import { giveSign, keepingOf } from './keeper-file.ts'
import { becomeUser, KEEPER_FD, type KeeperOrders, LOG_FD, readOrders } from './keeper-orders.ts'
import { boundLog } from './log-file.ts'
import { socketPath } from './pointer.ts'
import { isAlive, titleOf } from './processes.ts'
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
export async function keep(options: KeeperOptions): Promise<void> {
  const orders = readOrders()
  if (orders === null || !becomeUser(orders.user)) return
  const title = titleOf(orders.pid)
  if (!title.includes('postgres')) return
  const socket = socketPath(orders.socket_dir, orders.port)
  const alarm = makeAlarm(orders.socket_dir)
  const idle = { sessions: '', since: performance.now() }
  try {
    for (;;) {
      const keeping = keepingOf(KEEPER_FD, orders.token)
      // another process found us missing and started a second one
      if (keeping === 'taken') return
      // whoever has the number by now has another command line: the path of the socket in it is random
      if (!isAlive(orders.pid) || titleOf(orders.pid) !== title) return giveSign(KEEPER_FD, true)
      // the working copy was deleted; data that lies elsewhere would keep its server for ever
      if (keeping === 'homeless') return await endPostmaster(orders.pid)
      giveSign(KEEPER_FD)
      boundLog(LOG_FD)
      await look(orders, idle)
      const idleMs = performance.now() - idle.since
      if (orders.idle_stop_ms > 0 && idleMs >= orders.idle_stop_ms) {
        await endPostmaster(orders.pid)
        return giveSign(KEEPER_FD, true)
      }
      const isCutOff = !existsSync(socket)
      await alarm.wait(isCutOff ? STOPPING_MS : (options.tickMs ?? tickOf(orders.idle_stop_ms)))
    }
  } finally {
    alarm.close()
  }
}

/** How often to look, for an idle time. */
export function tickOf(idleStopMs: number): number {
  return idleStopMs > 0 ? Math.min(TICK_MS, Math.max(250, idleStopMs / TICKS_PER_IDLE)) : TICK_MS
}

/** Asks the server whether anybody did anything. No answer is no sign of idleness. */
async function look(orders: KeeperOrders, idle: { sessions: string; since: number }): Promise<void> {
  const answer = await ask({
    socket: socketPath(orders.socket_dir, orders.port),
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
