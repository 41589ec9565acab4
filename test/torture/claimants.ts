import { setTimeout as delay } from 'node:timers/promises'
import type { Envelope } from '../../src/contract/envelope.ts'
import { isJsonObject, type JsonObject } from '../../src/contract/json.ts'
import { type LineProcess, startLines } from '../support/line-process.ts'
import { BIN } from '../support/swarm.ts'
import { type ClaimMade, claimOf, type Operation } from './history.ts'

export interface ClaimantOptions {
  readonly name: string
  readonly agent: number
  readonly url: string
  readonly repo: string
  readonly history: Operation[]
  readonly random: () => number
}

const LEASE_MS = 1_000

/** An agent at work in one process after the other, which claims, works a little, completes, fails, releases and forgets. */
export class Claimant {
  readonly options: ClaimantOptions
  readonly complaints: string[] = []
  #process: LineProcess | undefined
  #waiting = new Map<string, (answer: Envelope | undefined) => void>()
  #wanted = true
  #killed = false
  #alive = false
  #processes = 0
  #keys = 0
  #done: Promise<void> | undefined

  constructor(options: ClaimantOptions) {
    this.options = options
  }

  start(): void {
    this.#done = this.#keepWorking()
  }

  /** Ends the process without warning, while it has a request under way. */
  kill(): void {
    this.#killed = true
  }

  /** Stops the process for longer than its lease. Meanwhile the agent goes on writing into its pipe. */
  async freeze(ms: number): Promise<void> {
    const process = this.#process
    process?.kill('SIGSTOP')
    await delay(ms)
    process?.kill('SIGCONT')
  }

  async stop(): Promise<void> {
    this.#wanted = false
    const timer = setTimeout(() => this.#process?.kill('SIGKILL'), 40_000)
    await this.#done
    clearTimeout(timer)
  }

  async #keepWorking(): Promise<void> {
    /** What a process that was killed had not been answered. */
    let open: Operation | undefined
    while (this.#wanted) {
      this.#killed = false
      this.#alive = true
      this.#processes += 1
      const process = this.#open()
      const gone = process.ended.then((ended) => {
        this.#alive = false
        for (const answer of this.#waiting.values()) answer(undefined)
        this.#waiting.clear()
        return ended
      })
      if (open) open = await this.#again(open)
      while (this.#alive && this.#wanted) open = await this.#turn()
      process.end()
      const { code, signal } = await gone
      if (this.#wanted && !this.#killed)
        this.complaints.push(`ended by itself: ${code ?? signal} ${process.stderr.slice(0, 500)}`)
    }
  }

  #open(): LineProcess {
    const { url, repo } = this.options
    const process = startLines({
      file: BIN,
      args: [],
      env: { DATABASE_URL: url, SWARM_REPO: repo },
      onLine: (line) => {
        const envelope: Envelope = JSON.parse(line)
        const rid = String(envelope.rid)
        this.#waiting.get(rid)?.(envelope)
        this.#waiting.delete(rid)
      },
    })
    this.#process = process
    return process
  }

  /** Claims a bead and does something with it; answers the request that was not answered, if any. */
  async #turn(): Promise<Operation | undefined> {
    const { random, agent } = this.options
    const claimed = await this.#do('claim-next', { lease_ms: LEASE_MS })
    if (!claimed.answer) return claimed
    let claim = claimOf(claimed)
    if (!claim) {
      await delay(20)
      return undefined
    }
    while (claim) {
      // now and then for longer than its lease, which its process renews
      await delay(random() * (random() < 0.03 ? 2 * LEASE_MS : 30))
      const held: ClaimMade = claim
      // with its number or without: then the process knows it
      const fence = random() < 0.5 ? { fence: held.fence } : {}
      const named = random() < 0.8 ? { bead_id: held.bead } : {}
      const form = random()
      // it forgets what it holds, and claims again
      if (form < 0.05) return undefined
      if (form < 0.1) {
        const released = await this.#do('release', { ...named, ...fence }, held)
        return released.answer ? undefined : released
      }
      if (form < 0.25) {
        const beat = await this.#do('heartbeat', { ...named, ...fence }, held)
        if (!beat.answer) return beat
        if (!beat.answer.ok) {
          // whoever writes on regardless must be refused again
          if (random() < 0.5) await this.#do('complete-stage', { outcome: 'passed' }, held, 'passed')
          return undefined
        }
        continue
      }
      const outcome = form < 0.85 ? 'passed' : 'failed'
      const feedback = outcome === 'failed' ? { feedback: `no, said ${agent}` } : {}
      const fields = { ...named, ...fence, stage: held.stage, outcome, ...feedback }
      const completed = await this.#do('complete-stage', fields, held, outcome)
      if (!completed.answer) return completed
      claim = nextOf(completed.answer, held)
    }
    return undefined
  }

  /** Sends again, from another process, what was not answered; only with its own fence can it be told from a new request. */
  async #again(open: Operation & { readonly fields?: JsonObject }): Promise<Operation | undefined> {
    const { fields, cmd, claim, outcome } = open
    if (fields?.fence === undefined || this.options.random() < 0.3) return undefined
    const again = await this.#do(cmd, fields, claim, outcome, open.key)
    return again.answer ? undefined : again
  }

  async #do(
    cmd: Operation['cmd'],
    fields: JsonObject,
    claim?: ClaimMade,
    outcome?: Operation['outcome'],
    key = `${this.options.name}.${this.#processes}-${++this.#keys}`,
  ): Promise<Operation> {
    const { name, agent, history, random } = this.options
    const one: Operation & { readonly fields: JsonObject } = {
      cmd,
      worker: name,
      agent,
      key,
      from: Date.now(),
      fields,
      ...(claim ? { claim } : {}),
      ...(outcome ? { outcome } : {}),
    }
    if (!this.#alive) return one
    history.push(one)
    const rid = `${key}#${history.length}`
    const answered = new Promise<Envelope | undefined>((resolve) => this.#waiting.set(rid, resolve))
    this.#process?.send(`${JSON.stringify({ ...fields, cmd, agent_id: agent, idem: key, rid })}\n`)
    const process = this.#process
    if (this.#killed) setTimeout(() => process?.kill('SIGKILL'), random() * 3)
    const answer = await answered
    if (!answer) return one
    one.to = Date.now()
    one.answer = answer
    if (!answer.ok && !['CONFLICT', 'TIMEOUT', 'DEPENDENCY', 'BUSY'].includes(answer.err.code))
      this.complaints.push(JSON.stringify(answer).slice(0, 500))
    return one
  }
}

/** The claim after a stage was completed; undefined when the agent does not hold the bead any more, or was refused. */
function nextOf(answer: Envelope, held: ClaimMade): ClaimMade | undefined {
  if (!answer.ok || !isJsonObject(answer.d) || answer.d.kept !== true) return undefined
  return { ...held, stage: String(answer.d.stage), attempt: Number(answer.d.attempt) }
}
