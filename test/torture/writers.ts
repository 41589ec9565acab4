import { setTimeout as delay } from 'node:timers/promises'
import type { Envelope } from '../../src/contract/envelope.ts'
import { type LineProcess, startLines } from '../support/line-process.ts'
import { BIN } from '../support/swarm.ts'

export interface WriterOptions {
  readonly name: string
  /** Bundle of the program that writes plain SQL; without it, events are recorded through a pipe of `swarm`. */
  readonly program?: string
  readonly url: string
  readonly repo: string
  readonly seed: number
  readonly tells: boolean
  readonly pauseMs: number
  readonly random: () => number
}

/** A writer of events: one process after the other. */
export class TortureWriter {
  /** By what the event is about. */
  readonly committed = new Set<string>()
  readonly rolledBack = new Set<string>()
  readonly complaints: string[] = []
  unknown = 0
  readonly #options: WriterOptions
  #process: LineProcess | undefined
  #wanted = true
  #killed = false
  #starts = 0
  #done: Promise<void> | undefined

  constructor(options: WriterOptions) {
    this.#options = options
  }

  start(): void {
    this.#done = this.#keepWriting()
  }

  kill(): void {
    this.#killed = true
    this.#process?.kill('SIGKILL')
  }

  async stop(): Promise<void> {
    this.#wanted = false
    this.#process?.end()
    const timer = setTimeout(() => this.#process?.kill('SIGKILL'), 10_000)
    await this.#done
    clearTimeout(timer)
  }

  async #keepWriting(): Promise<void> {
    const { name, program } = this.#options
    while (this.#wanted) {
      this.#starts += 1
      this.#killed = false
      const own = `${name}.${this.#starts}`
      const { ended, stderr } =
        program === undefined ? await this.#record(own) : await this.#insert(own, program)
      if (this.#wanted && !this.#killed)
        this.complaints.push(`ended by itself: ${ended} ${stderr.slice(0, 500)}`)
      if (this.#wanted) await delay(50)
    }
  }

  async #insert(own: string, program: string): Promise<{ ended: string; stderr: string }> {
    const { url, repo, seed, tells, pauseMs } = this.#options
    const started = startLines({
      file: program,
      args: [url, repo, own, String(seed + this.#starts * 1_000), tells ? 'tells' : '', String(pauseMs)],
      onLine: (line) => {
        const { outcome, ids }: { outcome: string; ids: string[] } = JSON.parse(line)
        if (outcome === 'unknown') this.unknown += 1
        else for (const id of ids) (outcome === 'committed' ? this.committed : this.rolledBack).add(id)
      },
    })
    this.#process = started
    const { code, signal } = await started.ended
    return { ended: String(code ?? signal), stderr: started.stderr }
  }

  /** Records events through `swarm`, several lines at once. */
  async #record(own: string): Promise<{ ended: string; stderr: string }> {
    const { url, repo, random, pauseMs } = this.#options
    let made = 0
    let open = 0
    let answered = () => {}
    const started = startLines({
      file: BIN,
      args: [],
      env: { DATABASE_URL: url, SWARM_REPO: repo },
      onLine: (line) => {
        const envelope: Envelope = JSON.parse(line)
        if (envelope.ok) this.committed.add(String(envelope.rid))
        else if (envelope.err.ctx?.retryable === true) this.unknown += 1
        else this.complaints.push(line.slice(0, 500))
        open -= 1
        if (open === 0) answered()
      },
    })
    this.#process = started
    let alive = true
    const gone = started.ended.finally(() => {
      alive = false
      answered()
    })
    while (alive && this.#wanted) {
      const ids = Array.from({ length: 1 + Math.floor(random() * 8) }, () => `${own}-${++made}`)
      open = ids.length
      const all = new Promise<void>((resolve) => {
        answered = resolve
      })
      const lines = ids.map((id) => ({
        cmd: 'record-event',
        rid: id,
        event_type: 'torture_b',
        entity_id: id,
      }))
      started.send(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
      if (alive) await all
      await delay(random() * 6 * pauseMs)
    }
    started.end()
    const { code, signal } = await gone
    return { ended: String(code ?? signal), stderr: started.stderr }
  }
}
