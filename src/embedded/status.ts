import { existsSync } from 'node:fs'
import { ask } from './ask.ts'
import { isKeeper } from './keeper-start.ts'
import { pathsOf } from './paths.ts'
import { dataDirOfPointer, readPointer, socketPath } from './pointer.ts'
import { findRunning } from './running.ts'
import { EMBEDDED_DATABASE, EMBEDDED_USER } from './terms.ts'

/** What `db status` tells. Absent keys are not known. */
export interface EmbeddedStatus {
  readonly running: boolean
  /** `ready`; `busy`: starting, recovering or stopping; `forbidden`: another user's; `away`: stopped, or out of sight. */
  readonly state: string
  readonly pid: number | null
  /** When it was started; ISO 8601 UTC. */
  readonly since?: string
  /** As `18.4`. */
  readonly version?: string
  readonly data_dir: string | null
  readonly socket_dir: string | null
  readonly port?: number
  /** Client connections, without the one that asked. */
  readonly connections?: number
  readonly size_bytes?: number
  readonly log_file: string | null
  readonly keeper_pid: number | null
  readonly idle_stop_ms?: number
}

const FACTS = `
  select current_setting('server_version'),
    (select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()),
    (select sum(pg_database_size(oid)) from pg_database)`

/** The work of `embeddedStatus`. */
export async function status(swarmDir: string): Promise<EmbeddedStatus> {
  const paths = pathsOf(swarmDir, false)
  if (paths === null) {
    return {
      running: false,
      state: 'away',
      pid: null,
      data_dir: null,
      socket_dir: null,
      log_file: null,
      keeper_pid: null,
    }
  }
  const { state, file, dataDir } = await findRunning(paths)
  const pointer = readPointer(paths.swarmDir)
  const keeper = pointer?.keeper_pid ?? null
  const running = file !== null
  return {
    running,
    state,
    pid: file?.pid ?? null,
    ...(running ? { since: new Date(file.startedAt * 1000).toISOString() } : {}),
    data_dir: dataDir ?? (pointer ? dataDirOfPointer(paths.swarmDir, pointer) : null),
    socket_dir: file?.socketDir ?? pointer?.socket_dir ?? null,
    ...(running ? { port: file.port, ...(await facts(socketPath(file.socketDir, file.port))) } : {}),
    log_file: existsSync(paths.logFile) ? paths.logFile : null,
    keeper_pid: keeper !== null && isKeeper(keeper, paths.swarmDir) ? keeper : null,
    ...(pointer ? { idle_stop_ms: pointer.idle_stop_ms } : {}),
  }
}

async function facts(
  socket: string,
): Promise<Pick<EmbeddedStatus, 'version' | 'connections' | 'size_bytes'>> {
  const answer = await ask({
    socket,
    user: EMBEDDED_USER,
    database: EMBEDDED_DATABASE,
    sql: FACTS,
    timeoutMs: 3_000,
  })
  const [version, connections, size] = (answer.state === 'ready' ? answer.rows[0] : null) ?? []
  return version ? { version, connections: Number(connections), size_bytes: Number(size) } : {}
}
