import { setTimeout as delay } from 'node:timers/promises'
import type { Envelope } from '../../src/contract/envelope.ts'
import { isJsonObject, type JsonObject } from '../../src/contract/json.ts'
import { type LineProcess, startLines } from '../support/line-process.ts'
import { BIN } from '../support/swarm.ts'

/** What one process of a reader was sent. */
export interface Session {
  /** Where it said that it starts. */
  readonly start: number
  /** What had been acknowledged as acked when it said so. */
  readonly acked: number
  readonly items: { readonly seq: number; readonly id: string }[]
}

/** A named cursor, which several readers may take in turns. */
export interface NamedState {
  readonly name: string
  /** The highest position whose ack was answered. */
  acked: number
  /**
   * Two readers want it: while the server is away or one of them is starved, its lease of 2 s runs out and the other takes it.
   * That is what a lease is for; that nothing is lost or repeated by it is checked for all.
   */
  readonly shared?: boolean
}

export interface ReaderOptions {
  readonly name: string
  readonly url: string
  readonly repo: string
  /** `raw` goes on from the last cursor that it saw; `named` keeps its cursor in the database; `auto` acks before it sends. */
  readonly kind: 'raw' | 'named' | 'auto'
  readonly cursor?: NamedState
  readonly eventTypes?: readonly string[]
  readonly random: () => number
}

const LEASE_MS = 2_000
const RESTART_MS = 50

/** A reader of the stream: one process after the other, each going on where the one before was. */
export class TortureReader {
  readonly options: ReaderOptions
  readonly sessions: Session[] = []
  /** What went wrong that no fault explains. */
  readonly complaints: string[] = []
  /** Starts that were refused because the database was away, or the cursor held. */
  refusals = 0
  #process: LineProcess | undefined
  #session: Session | undefined
  #log = ''
  #seen = 0
  #wanted = true
  #expected = false
  #done: Promise<void> | undefined
  #waiting: { readonly seq: number; readonly resolve: () => void }[] = []
  #acks = 0
  #unacked = 0

  constructor(options: ReaderOptions) {
    this.options = options
  }

  /** The largest number that the running process has delivered, or started from. */
  get position(): number {
    return this.#seen
  }

  start(): void {
    this.#done = this.#keepReading()
  }

  /** Ends the process without warning; another one takes its place. */
  kill(): void {
    this.#expected = true
    this.#process?.kill('SIGKILL')
  }

  /** Stops the process for a while, as a laptop that sleeps. */
  async freeze(ms: number): Promise<void> {
    const process = this.#process
    this.#expected = true
    process?.kill('SIGSTOP')
    await delay(ms)
    process?.kill('SIGCONT')
  }

  /** Resolves when it has been sent everything up to `seq`; false after `timeoutMs`. */
  reached(seq: number, timeoutMs: number): Promise<boolean> {
    if (this.#seen >= seq) return Promise.resolve(true)
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs)
      const done = () => {
        clearTimeout(timer)
        resolve(true)
      }
      this.#waiting.push({ seq, resolve: done })
    })
  }

  /** Asks the process to end and waits for it. */
  async stop(): Promise<void> {
    this.#wanted = false
    this.#process?.kill('SIGTERM')
    const timer = setTimeout(() => {
      this.complaints.push('did not end within 10 s of SIGTERM')
      this.#process?.kill('SIGKILL')
    }, 10_000)
    await this.#done
    clearTimeout(timer)
  }

  async #keepReading(): Promise<void> {
    while (this.#wanted) {
      this.#session = undefined
      this.#expected = false
      let last = ''
      const { kind } = this.options
      const process = startLines({
        file: BIN,
        args: kind === 'named' ? [] : ['subscribe', ...this.#flags()],
        env: { DATABASE_URL: this.options.url, SWARM_REPO: this.options.repo },
        onLine: (line) => {
          last = line
          this.#heard(line)
        },
      })
      this.#process = process
      if (kind === 'named') process.send(`${JSON.stringify(this.#request())}\n`)
      const { code, signal } = await process.ended
      const refused = this.#session === undefined && [7, 11, 13].includes(code ?? -1)
      if (refused) this.refusals += 1
      else if (this.#wanted && !this.#expected)
        this.complaints.push(
          `ended by itself: ${code ?? signal} ${last.slice(0, 300)} ${process.stderr.slice(0, 500)}`,
        )
      if (this.#wanted) await delay(RESTART_MS)
    }
  }

  #request(): JsonObject {
    const { cursor, eventTypes } = this.options
    return {
      cmd: 'subscribe',
      rid: 's',
      cursor: cursor?.name ?? '',
      if_busy: 'wait',
      lease_ms: LEASE_MS,
      ...(eventTypes ? { event_types: [...eventTypes] } : {}),
    }
  }

  #flags(): string[] {
    const { kind, cursor, eventTypes = [] } = this.options
    const from = this.#log === '' ? 'beginning' : `${this.#log}:${this.#seen}`
    return [
      ...(kind === 'auto'
        ? ['--cursor', cursor?.name ?? '', '--if-busy', 'wait', '--lease-ms', String(LEASE_MS), '--auto-ack']
        : ['--from', from]),
      ...eventTypes.flatMap((type) => ['--event-types', type]),
    ]
  }

  #heard(line: string): void {
    const envelope: Envelope = JSON.parse(line)
    if (!envelope.ok) {
      this.#refused(envelope.rid, line)
      return
    }
    const { d, rid } = envelope
    if (!isJsonObject(d)) return
    if (typeof rid === 'string' && rid.startsWith('ack ')) {
      const { cursor } = this.options
      if (cursor) cursor.acked = Math.max(cursor.acked, Number(d.acked))
      return
    }
    const { kind, cursor, entity_id } = d
    if (kind !== 'start' && kind !== 'event') return
    const [log = '', number = ''] = String(cursor).split(':')
    const seq = Number(number)
    if (kind === 'start') {
      this.#log = log
      this.#session = { start: seq, acked: this.options.cursor?.acked ?? 0, items: [] }
      this.sessions.push(this.#session)
    } else {
      this.#session?.items.push({ seq, id: String(entity_id) })
      const acked = this.options.cursor?.acked ?? 0
      if (seq <= acked) this.complaints.push(`${seq} was delivered after ${acked} had been acked`)
    }
    this.#seen = seq
    for (const waiting of this.#waiting.filter((one) => one.seq <= seq)) waiting.resolve()
    this.#waiting = this.#waiting.filter((one) => one.seq > seq)
    if (kind === 'event' && this.options.kind === 'named') this.#ackSometimes(String(cursor))
  }

  #ackSometimes(at: string): void {
    this.#unacked += 1
    if (this.#unacked < 40 && this.options.random() > 0.05) return
    this.#unacked = 0
    const ack = { cmd: 'ack-cursor', rid: `ack ${++this.#acks}`, cursor: this.options.cursor?.name ?? '', at }
    this.#process?.send(`${JSON.stringify(ack)}\n`)
  }

  #refused(rid: unknown, line: string): void {
    // the pipe of a named reader stays open when its subscription has ended
    if (rid === 's') this.#process?.kill('SIGKILL')
    const retryable = /"code":"(?:DEPENDENCY|BUSY|TIMEOUT)"/.test(line)
    if (this.options.cursor?.shared && line.includes('another reader has taken the cursor'))
      this.#expected = true
    if (rid === 's' && this.#session === undefined && retryable) {
      this.refusals += 1
      this.#expected = true
    } else if (!this.#expected && !(rid !== 's' && retryable)) this.complaints.push(line.slice(0, 500))
  }
}
