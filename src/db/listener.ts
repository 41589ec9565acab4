import { LISTENER } from '../contract/context.ts'
import { Client } from './client.ts'
import type { ConnectOptions } from './url.ts'
import { Wakes } from './wakes.ts'

export interface ListenerOptions {
  readonly connect: ConnectOptions
  readonly connectTimeoutMs: number
  /** Random id of this process; names the channel of its heartbeat. */
  readonly holder: string
  /** Sends one notification over another connection, to see whether notifications pass a pooler. */
  readonly probe: (channel: string) => Promise<void>
  readonly onWarn: (message: string) => void
  readonly random: () => number
  /** Overrides for tests, in ms. */
  readonly heartbeatMs?: number
  readonly answerMs?: number
}

/**
 * `resting`: connected, but nobody waits while the log is busy, so notifications are not asked for. `polling`: they cannot arrive here,
 * so nothing is woken and readers look every second.
 */
export type ListenerState = 'idle' | 'connecting' | 'listening' | 'resting' | 'polling' | 'closed'

/** The channel of all wake-ups; the payload is the repo. */
export const CHANNEL = 'swarm'

const HEARTBEAT_MS = 10_000
const ANSWER_MS = 5_000
const SHORTEST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 500
/** Without a subscriber for this long, the connection is closed: a server that stops when idle may then stop. */
const LINGER_MS = 60_000
/** A notification that comes when nobody has waited for this long is the last: each costs its sender and this process for nothing. */
const REST_AFTER_MS = 250

const PASSES_NO_NOTIFICATIONS =
  'notifications do not pass this pooler: changes are looked for every second. Set SWARM_LISTEN_URL to a direct connection'

/**
 * One listening connection for all readers of a process. It is made with the first subscriber and rebuilt at once, and then at
 * least twice a second, when it is lost. A wake-up is a hint: whoever is woken reads what there is. Everybody is woken when the
 * connection has been made again, since something may have been missed. A connection that looks open but passes nothing is
 * found by a notification to itself every 10 s, which has 5 s to arrive.
 */
export class Listener {
  readonly #options: ListenerOptions
  readonly #beat: string
  readonly #wakes = new Wakes()
  #state: ListenerState = 'idle'
  #client: Client | undefined
  #lose: () => void = () => {}
  #heard: (beat: string) => void = () => {}
  /** Has the connection listen again, or no more. */
  #turn: () => void = () => {}
  #linger: NodeJS.Timeout | undefined

  constructor(options: ListenerOptions) {
    this.#options = options
    this.#beat = `swarm_beat_${options.holder.replace(/[^A-Za-z0-9_]/g, '_').slice(0, 40)}`
    if (options.connect.pooled) this.#degrade()
  }

  get state(): ListenerState {
    return this.#state
  }

  /** Grows whenever something may have changed in a repo, or in any with null, as far as this process was told. */
  version(repo: string | null): number {
    return this.#wakes.version(repo)
  }

  /** Calls `wake` whenever something may have changed in `repo`, or in any with null. Returns how to stop that. */
  onWake(repo: string | null, wake: () => void): () => void {
    const stop = this.#wakes.add(repo, wake)
    clearTimeout(this.#linger)
    this.#start()
    if (this.#state === 'resting') this.#turn()
    return () => {
      stop()
      if (this.#wakes.waiting > 0 || this.#state === 'closed') return
      clearTimeout(this.#linger)
      this.#linger = setTimeout(() => this.#lose(), LINGER_MS).unref()
    }
  }

  /** Wakes this process's own readers without the way over the server. */
  wake(repo: string): void {
    this.#wakes.wake(repo)
  }

  close(): void {
    this.#state = 'closed'
    clearTimeout(this.#linger)
    this.#wakes.clear()
    this.#client?.destroy()
    this.#lose()
  }

  #start(): void {
    if (this.#state !== 'idle') return
    this.#state = 'connecting'
    // every fault is handled inside; it goes on until it is closed or nobody listens
    void this.#keepListening()
  }

  async #keepListening(): Promise<void> {
    let pauseMs = SHORTEST_PAUSE_MS
    while (this.#wanted()) {
      const listened = await this.#listen().catch(() => false)
      if (!this.#wanted()) break
      this.#state = 'connecting'
      pauseMs = listened ? SHORTEST_PAUSE_MS : Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
      await unreferencedPause(pauseMs * (0.5 + this.#options.random() / 2))
    }
    if (this.#state !== 'closed' && this.#state !== 'polling') this.#state = 'idle'
  }

  #wanted(): boolean {
    return this.#state !== 'closed' && this.#state !== 'polling' && this.#wakes.waiting > 0
  }

  /** Listens on one connection until it is lost; false when it could not even begin. */
  async #listen(): Promise<boolean> {
    const { connect, connectTimeoutMs, holder } = this.#options
    let lose = () => {}
    const lost = new Promise<void>((resolve) => {
      lose = resolve
    })
    this.#lose = lose
    const client = new Client({
      // what it runs names its schemas, and a pooler must not refuse it
      connect: { ...connect, startupPath: false },
      connectTimeoutMs,
      max: 1,
      applicationName: `${LISTENER} ${holder}`,
      onnotify: (channel, payload) => {
        if (channel !== CHANNEL) return this.#heard(payload)
        this.wake(payload)
        if (this.#state === 'listening' && this.#isUnattended()) this.#turn()
      },
      // this one's own: a connection that closes late must not take its successor down
      onclose: lose,
    })
    this.#client = client
    try {
      await client.script(this.#listenStatement(), connectTimeoutMs)
      if (await this.#isPooled(client)) {
        this.#degrade()
        return false
      }
      // close() may have come meanwhile
      if (this.#state !== 'connecting') return false
      this.#state = 'listening'
      this.#wakes.wakeAll()
      await this.#watch(client, lost)
      return true
    } finally {
      client.destroy()
    }
  }

  /** Returns when the connection is lost or a heartbeat has not come back in time. */
  async #watch(client: Client, lost: Promise<void>): Promise<void> {
    const { heartbeatMs = HEARTBEAT_MS } = this.#options
    for (let beat = 1; ; beat += 1) {
      const turned = new Promise<void>((resolve) => {
        this.#turn = resolve
      })
      const cause = await Promise.race([
        lost.then(() => 'lost' as const),
        turned.then(() => 'turned' as const),
        unreferencedPause(heartbeatMs).then(() => 'beat' as const),
      ])
      if (cause === 'lost') return
      if (cause === 'turned') await this.#change(client)
      // at rest there is nothing to miss: that the connection has died shows when it listens again
      else if (this.#state === 'listening' && !(await this.#isAlive(client, lost, String(beat)))) return
    }
  }

  /** Listens again when somebody waits, and no more when nobody does. Throws what the connection throws. */
  async #change(client: Client): Promise<void> {
    const { answerMs = ANSWER_MS } = this.#options
    if (this.#wakes.waiting > 0) {
      await client.script(this.#listenStatement(), answerMs)
      if (this.#state !== 'resting') return
      this.#state = 'listening'
      this.#wakes.wakeAll()
    } else if (this.#state === 'listening' && this.#isUnattended()) {
      this.#state = 'resting'
      await client.script('unlisten *', answerMs)
      // who came meanwhile could not ask for it
      if (this.#wakes.waiting > 0) await this.#change(client)
    }
  }

  #isUnattended(): boolean {
    return this.#wakes.unattendedMs > REST_AFTER_MS
  }

  #listenStatement(): string {
    return `listen ${CHANNEL}; listen ${this.#beat}`
  }

  async #isAlive(client: Client, lost: Promise<void>, beat: string): Promise<boolean> {
    const { answerMs = ANSWER_MS } = this.#options
    const heard = this.#expect(beat, answerMs)
    const sent = client
      .call('select pg_catalog.pg_notify($1, $2)', [this.#beat, beat], answerMs)
      .catch(() => this.#lose())
    const alive = await Promise.race([lost.then(() => false), heard])
    await sent
    return alive
  }

  /**
   * A pooler stands between when the backend is another one than the server named at the start. In transaction mode it takes a
   * LISTEN and then passes nothing: a notification over another connection shows it.
   */
  async #isPooled(client: Client): Promise<boolean> {
    const [row] = await client.call(
      'select pg_catalog.pg_backend_pid() as pid',
      [],
      this.#options.connectTimeoutMs,
    )
    if (row?.pid === client.backendPid) return false
    const { answerMs = ANSWER_MS } = this.#options
    const heard = this.#expect('probe', answerMs)
    await this.#options.probe(this.#beat)
    return !(await heard)
  }

  #expect(expected: string, withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), withinMs).unref()
      this.#heard = (payload) => {
        if (payload !== expected) return
        clearTimeout(timer)
        resolve(true)
      }
    })
  }

  #degrade(): void {
    if (this.#state === 'closed' || this.#state === 'polling') return
    this.#state = 'polling'
    this.#options.onWarn(PASSES_NO_NOTIFICATIONS)
  }
}

function unreferencedPause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}
