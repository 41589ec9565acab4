import { isJsonObject } from '../contract/json.ts'
import { isRoot, type ServerUser } from './powers.ts'

/** Environment variable of the keeper with its orders as JSON. */
export const KEEPER_VARIABLE = 'SWARM_KEEPER'
/** Descriptors of the keeper: the file by which it tells that it lives, and the server's log. */
export const KEEPER_FD = 3
export const LOG_FD = 4

/** What a keeper is told. It looks nothing up in `.swarm/`, where its user may have no access. */
export interface KeeperOrders {
  /** Shows which keeper counts. */
  readonly token: string
  /** The postmaster. */
  readonly pid: number
  readonly cluster: string
  readonly socket_dir: string
  readonly port: number
  readonly idle_stop_ms: number
  /** Whom a keeper that root has started becomes; null for one that is its user already. */
  readonly user: ServerUser | null
}

/** The orders of this process; null when nobody gave it any. */
export function readOrders(): KeeperOrders | null {
  let value: unknown
  try {
    value = JSON.parse(process.env[KEEPER_VARIABLE] ?? 'null')
  } catch {
    return null
  }
  return isOrders(value) ? value : null
}

/** Gives root's powers up for good. False when this process would be root still: then it must do nothing. */
export function becomeUser(user: ServerUser | null): boolean {
  if (!isRoot()) return true
  if (user === null || user.uid === 0) return false
  process.setgroups?.([user.gid])
  process.setgid?.(user.gid)
  process.setuid?.(user.uid)
  return process.getuid?.() === user.uid && process.geteuid?.() === user.uid
}

function isOrders(value: unknown): value is KeeperOrders {
  if (!isJsonObject(value)) return false
  const { user } = value
  const isUser = isJsonObject(user) && Number.isInteger(user.uid) && Number.isInteger(user.gid)
  return (
    ['token', 'cluster', 'socket_dir'].every((key) => typeof value[key] === 'string') &&
    ['pid', 'port', 'idle_stop_ms'].every((key) => Number.isFinite(value[key])) &&
    (user === null || isUser)
  )
}
