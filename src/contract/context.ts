import type { SwarmConfig } from './config.ts'
import type { Rid } from './envelope.ts'
import type { SwarmError } from './errors.ts'
import type { JsonObject } from './json.ts'

/** A value that may stand for `$1` in a statement. Objects go in as JSON text, cast in the statement. */
export type Param = string | number | boolean | null

/** One call of a write function in schema.sql: `swarm.do_<verb>(repo, args, proc)`. */
export interface WriteCall {
  /** The verb; `do_` and underscores make the function's name of it. */
  readonly cmd: string
  readonly repo: string
  /** What the client asked for; part of the operation's identity. */
  readonly args: JsonObject
  /** What the process adds (its holder id, its own fence); not part of the operation's identity. */
  readonly proc?: JsonObject
  /** Operation key, unique per repo. */
  readonly key: string
  readonly rid?: Rid
}

export interface WriteReply {
  readonly d: JsonObject
  readonly replayed: boolean
  /** False when it was replayed, and when it has found nothing to do. */
  readonly changed: boolean
}

/** What the commands need of a database. Implemented in `db`; every call has a deadline. */
export interface Database {
  /**
   * Runs one write under its operation key, and wakes those who wait once it is committed. A refusal is thrown as SwarmError. A
   * dead connection is settled by sending the same write again under the same key; past the deadline it is TIMEOUT with
   * `ctx.outcome: "unknown"`.
   */
  write(call: WriteCall): Promise<WriteReply>
  /** Runs appends as one statement; one settled result per call, in order. */
  append(calls: readonly WriteCall[]): Promise<readonly PromiseSettledResult<WriteReply>[]>
  /**
   * Runs one read; rows as objects. Values that are not JSON (bigint, dates) must be cast in the statement. `timeoutMs`: for all
   * attempts together, instead of the database's own.
   */
  read<Row>(
    statement: string,
    params?: readonly Param[],
    options?: { readonly timeoutMs?: number },
  ): Promise<Row[]>
  /**
   * Runs `work` in one transaction; any throw rolls everything back. It may run again, so it must not keep what an earlier run
   * did. `contended`: an earlier run, or another transaction of late, was undone by others who wanted the same rows. `keyed`: its writes have the same operation keys every time, so that it may also run again when the outcome of a COMMIT
   * is unknown.
   */
  transaction<T>(
    work: (db: Database, attempt: { readonly contended: boolean }) => Promise<T>,
    options?: { readonly keyed?: boolean },
  ): Promise<T>
  /** Runs trusted SQL of several statements (schema.sql), in one transaction. */
  script(sql: string): Promise<void>
  /** Resolves when a write changed something in this repo (null: for any), or when `timeoutMs` passed, or when `signal` aborts. */
  waitForChange(repo: string | null, timeoutMs: number, signal: AbortSignal): Promise<void>
}

/** The last claim that this process made for an agent. */
export interface Holding {
  readonly repo: string
  readonly agent_id: number
  readonly bead_id: string
  readonly fence: number
  readonly lease_ms: number
  /** `performance.now()` of the claim, to stop renewing after max_hold_ms. */
  readonly since: number
  /**
   * It turned out not to be ours any more. Its fence still goes with the agent's writes, until the agent claims again: without
   * one they would count for whatever another process of the same agent holds now.
   */
  readonly lost?: true
}

/** The claims of this process, so that it can fill in its own fence and renew its own leases. */
export interface Holdings {
  get(repo: string, agentId: number): Holding | undefined
  set(holding: Holding): void
  delete(repo: string, agentId: number): void
  list(): readonly Holding[]
}

/** The working copy a process belongs to. */
export interface Root {
  /** Absolute path of the directory that holds `.swarm/`. */
  readonly path: string
  /** Without the keys that name servers and commands, when they have not been trusted. */
  readonly config: SwarmConfig
  /** What agents are told at a stage, by stage, instead of what swarm says: `.swarm/prompts/<stage>.md`. Only when trusted. */
  readonly prompts?: Readonly<Record<string, string>>
  /** Files there that cannot be used. */
  readonly promptFaults?: readonly { readonly file: string; readonly problem: string }[]
  /** What whoever needs those keys answers; absent when they are trusted, or there are none. */
  readonly distrust?: SwarmError
}

/** How a part of a request runs. */
export interface ExecuteOptions {
  /** Instead of the request's own database: a transaction. */
  readonly db?: Database
  /** Instead of the process's own holdings: those of a transaction that may still be rolled back. */
  readonly holdings?: Holdings
  /** The part's operation key, instead of one made of the whole's: for parts that may run more than once. */
  readonly key?: string
}

/** What the application names of listening connections begin with: so the listeners of a server can be counted. */
export const LISTENER = 'swarm listen'
