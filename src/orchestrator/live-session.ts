import type { AgentEvent, Usage } from '../agents/events.ts'
import type { AgentSession } from '../agents/session.ts'
import { LONG_WAIT_MS } from '../agents/tracking.ts'
import { type Judgement, judge, type LivenessFacts, type StuckRules } from '../core/liveness.ts'
import { type LivenessSample, livenessDelta, sampleLiveness } from '../process/index.ts'

/** What of a session goes into the database, in bytes; the rest is in a file of the host. */
const LOG_BYTES = 8 * 1_048_576
const CHUNK_CHARS = 16_384
/** What one message of a program may say that it has used. */
const MOST_TOKENS = 1e12
const MOST_USD = 1e6
const KEPT_ACTIONS = 12

export interface LogChunk {
  readonly iteration: number
  /** Its place in the session's log, from 1: with it a chunk that is sent again is stored once. */
  readonly sequence: number
  readonly text: string
}

export interface IterationNews {
  readonly number: number
  readonly status: 'running' | 'completed' | 'failed'
  readonly tool_calls: number
  readonly event?: 'iteration_started' | 'iteration_completed'
}

/** What is to be reported of a session. */
export interface News {
  readonly iterations: readonly IterationNews[]
  readonly chunks: readonly LogChunk[]
  readonly asked: readonly Asked[]
}

/** A question that was not told yet. */
export interface Asked {
  readonly id: string
  readonly text: string
  readonly options: readonly string[]
}

/** Where a session's times and measurements come from. */
export interface Clocks {
  /** Ms of a clock that does not jump. */
  now(): number
  /** Ms since 1970, as the machine believes. */
  wall(): number
  /** What the processes of a session have used so far. */
  sample(marker: string, at: number): LivenessSample | undefined
}

const REAL: Clocks = { now: () => performance.now(), wall: () => Date.now(), sample: sampleLiveness }

/** Between two looks. What is longer was no look at all: this process was stopped, or the machine was. */
const BLIND_MS = 60_000

/** What the events of one session add up to for its host: log, iterations, usage, what it waits for, whether it lives. */
export class LiveSession {
  readonly agent: AgentSession
  readonly sessionId: string
  readonly started: number
  readonly usage = { input: 0, output: 0, cache_read: 0, cache_write: 0, cost_usd: 0 }
  /** Texts for the host's own file, beyond what the database keeps. */
  readonly overflow: string[] = []
  #steps: Usage = {}
  #iteration = 0
  /** No turn is going on. */
  #between = true
  #calls = 0
  #news: IterationNews[] = []
  #chunks: LogChunk[] = []
  #sequence = 0
  /** Reported, but not known to have arrived. */
  #underWay: News | undefined
  #logged = 0
  #asked: Asked[] = []
  #actions: { action: string; result: string; ok: boolean }[] = []
  readonly #open = new Map<string, { readonly action: string; readonly since: number }>()
  #lastOutput: number
  #lastTool: number
  /** When the agent last did or said something; what a program tells of itself is no work. */
  #lastWork: number
  #lastBusy: number
  #lastSeen: number
  /** Ms in which nobody looked, or in which it waited for others: they count for no rule. */
  #blind = 0
  #sample: LivenessSample | undefined
  #steered: { readonly at: number } | undefined
  #turnsWithoutChange = 0
  #extendedUntil: number | undefined
  /** Until when its account has no quota, by the clock of `#lastSeen`. */
  #heldUntil: number | undefined
  readonly #canSteer: boolean
  readonly #tellsTools: boolean
  readonly #clocks: Clocks

  /** `before`: a program of the same session that has gone, after whose iterations and log this one counts on. */
  constructor(
    sessionId: string,
    agent: AgentSession,
    canSteer: boolean,
    tellsTools = true,
    clocks: Clocks = REAL,
    before?: LiveSession,
  ) {
    this.sessionId = sessionId
    this.agent = agent
    this.#canSteer = canSteer
    this.#tellsTools = tellsTools
    this.#clocks = clocks
    this.started = clocks.now()
    this.#lastOutput = this.started
    this.#lastTool = this.started
    this.#lastWork = this.started
    this.#lastBusy = this.started
    this.#lastSeen = this.started
    if (!before) return
    this.#iteration = before.#iteration
    this.#sequence = before.#sequence
  }

  /** Ms of the clock that stands still while nobody looks or the session waits for others. */
  #time(): number {
    return this.#clocks.now() - this.#blind
  }

  /** The same, after what has passed since it was last asked for: all of it counts, unless nobody looked or the session waits. */
  #advance(waits = false): number {
    const at = this.#clocks.now()
    const passed = at - this.#lastSeen
    this.#lastSeen = at
    this.#blind += waits ? passed : Math.max(0, passed - BLIND_MS)
    return at - this.#blind
  }

  take(event: AgentEvent): void {
    this.#lastOutput = this.#advance()
    if (isWork(event)) this.#lastWork = this.#lastOutput
    if (this.#between && event.kind !== 'result') this.#begin()
    switch (event.kind) {
      case 'output':
        this.#log(event.from === 'answer' ? event.text : `[${event.from}] ${event.text}`)
        return
      case 'tool_started':
        this.#lastTool = this.#time()
        this.#calls += 1
        this.#open.set(event.id, { action: `${event.name} ${event.input}`, since: this.#lastTool })
        this.#log(`[tool] ${event.name} ${event.input}`)
        return
      case 'tool_ended': {
        this.#lastTool = this.#time()
        const action = this.#open.get(event.id)?.action ?? event.id
        this.#open.delete(event.id)
        this.#actions = [...this.#actions, { action, result: event.output, ok: event.ok }].slice(
          -KEPT_ACTIONS,
        )
        this.#log(`[tool ${event.ok ? 'ok' : 'failed'}] ${event.output}`)
        return
      }
      case 'usage':
        this.#use(event.of, this.#counted(event.usage))
        return
      case 'question':
        this.#asked.push({ id: event.id, text: event.text, options: event.options })
        return
      case 'permission':
        if (!event.decided)
          this.#asked.push({
            id: event.id,
            text: `May it use ${event.tool}? ${event.input}`,
            options: ['allow', 'deny'],
          })
        return
      case 'turn_ended':
        this.#finish('completed')
        this.#turnsWithoutChange += 1
        return
      case 'result':
        this.#log(`[result ${event.reason}] ${event.detail}`)
        if (!this.#between) this.#finish(event.ok ? 'completed' : 'failed')
        return
      case 'rate_limited':
        // how long it is from now on: the wall clock may jump until then
        if (event.state === 'reached' && event.until !== undefined)
          this.#heldUntil = this.#lastSeen + event.until - this.#clocks.wall()
        return
      case 'retrying': {
        const waits = event.at === undefined ? 0 : event.at - this.#clocks.wall()
        if (waits >= LONG_WAIT_MS) this.#heldUntil = this.#lastSeen + waits
        return
      }
      case 'initialised':
      case 'activity':
      case 'unknown':
        return
    }
  }

  #begin(): void {
    this.#between = false
    this.#iteration += 1
    this.#calls = 0
    this.#news.push({ number: this.#iteration, status: 'running', tool_calls: 0, event: 'iteration_started' })
  }

  #finish(status: 'completed' | 'failed'): void {
    this.#news.push({
      number: this.#iteration,
      status,
      tool_calls: this.#calls,
      event: 'iteration_completed',
    })
    this.#between = true
  }

  #use(of: 'step' | 'total', usage: Usage): void {
    const sum = (a: number | undefined, b: number | undefined) => (a ?? 0) + (b ?? 0)
    if (of === 'step') {
      const s = this.#steps
      this.#steps = {
        input: sum(s.input, usage.input),
        output: sum(s.output, usage.output),
        cacheRead: sum(s.cacheRead, usage.cacheRead),
        cacheWrite: sum(s.cacheWrite, usage.cacheWrite),
        costUsd: sum(s.costUsd, usage.costUsd),
      }
      return
    }
    this.#add(usage)
    this.#steps = {}
  }

  #add(usage: Usage): void {
    this.usage.input += usage.input ?? 0
    this.usage.output += usage.output ?? 0
    this.usage.cache_read += usage.cacheRead ?? 0
    this.usage.cache_write += usage.cacheWrite ?? 0
    this.usage.cost_usd += usage.costUsd ?? 0
  }

  /** What was used so far, also by a prompt that goes on. */
  used(): LiveSession['usage'] {
    const { input = 0, output = 0, cacheRead = 0, cacheWrite = 0, costUsd = 0 } = this.#steps
    return {
      input: this.usage.input + input,
      output: this.usage.output + output,
      cache_read: this.usage.cache_read + cacheRead,
      cache_write: this.usage.cache_write + cacheWrite,
      cost_usd: this.usage.cost_usd + costUsd,
    }
  }

  /** Numbers of a program as they are counted: none below zero, no fractions of a token, and none that no sum could hold. */
  #counted({ input, output, cacheRead, cacheWrite, costUsd }: Usage): Usage {
    const count = (told = 0) => (told > 0 ? Math.min(Math.round(told), MOST_TOKENS) : 0)
    return {
      input: count(input),
      output: count(output),
      cacheRead: count(cacheRead),
      cacheWrite: count(cacheWrite),
      costUsd: costUsd !== undefined && costUsd > 0 ? Math.min(costUsd, MOST_USD) : 0,
    }
  }

  /** All that was used, also by a prompt that has not told its total. */
  settled(): LiveSession['usage'] {
    this.#add(this.#steps)
    this.#steps = {}
    return this.usage
  }

  #log(text: string): void {
    const line = `${text.replaceAll('\0', '\u2400')}\n`
    if (this.#logged >= LOG_BYTES) {
      this.overflow.push(line)
      return
    }
    for (let at = 0; at < line.length; at += CHUNK_CHARS) {
      const piece = line.slice(at, at + CHUNK_CHARS)
      this.#logged += Buffer.byteLength(piece)
      const last = this.#chunks.at(-1)
      if (last && last.iteration === this.#iteration && last.text.length + piece.length <= CHUNK_CHARS)
        this.#chunks[this.#chunks.length - 1] = { ...last, text: last.text + piece }
      else this.#chunk(piece)
    }
    if (this.#logged >= LOG_BYTES) this.#chunk('[the rest is in a file of its host]\n')
  }

  #chunk(text: string): void {
    this.#sequence += 1
    this.#chunks.push({ iteration: Math.max(1, this.#iteration), sequence: this.#sequence, text })
  }

  /** What has not arrived yet: the same as the last time until `told` says that it has, then what came meanwhile. */
  news(): News {
    if (this.#underWay) return this.#underWay
    this.#underWay = { iterations: this.#news, chunks: this.#chunks, asked: this.#asked }
    this.#news = []
    this.#chunks = []
    this.#asked = []
    return this.#underWay
  }

  /** The last news have arrived. */
  told(): void {
    this.#underWay = undefined
  }

  /** What the heartbeat tells. */
  facts() {
    const track = this.agent.track()
    const now = this.#time()
    const held = this.#heldUntil !== undefined && this.#heldUntil > this.#clocks.now()
    return {
      session_id: this.sessionId,
      status: track.asking.length > 0 ? 'asking' : held ? 'held' : track.initialised ? 'running' : 'starting',
      pid: this.agent.pid,
      ...(track.nativeId === undefined ? {} : { native_id: track.nativeId }),
      ...(track.model === undefined ? {} : { model: track.model }),
      output_ago_ms: Math.round(now - this.#lastOutput),
      ...(track.toolCalls > 0 ? { tool_ago_ms: Math.round(now - this.#lastTool) } : {}),
      ...(track.openTools[0] ? { open_tool: track.openTools[0].name } : {}),
      turns: track.turns,
      tool_calls: track.toolCalls,
      usage: this.used(),
    }
  }

  /** Turns since its tree or head was last seen to have moved. */
  get turnsWithoutChange(): number {
    return this.#turnsWithoutChange
  }

  /** Measures whether it lives and says what is to be done. `changed`: its tree or head has moved since that was last looked at. */
  look(rules: StuckRules, changed: boolean): Judgement {
    const track = this.agent.track()
    // who waits for a person or for a quota need not say anything, and gets the usual time once that is over
    const held = this.#heldUntil !== undefined && this.#heldUntil > this.#clocks.now()
    const waits = held || track.asking.length > 0
    const now = this.#advance(waits)
    const sample = this.#clocks.sample(this.agent.marker, this.#lastSeen)
    const delta = sample && this.#sample ? livenessDelta(this.#sample, sample) : undefined
    this.#sample = sample
    if (delta === undefined || delta.cpuMs > 0 || delta.ioBytes > 0 || delta.processes > 1)
      this.#lastBusy = now
    if (changed) this.#turnsWithoutChange = 0
    const facts: LivenessFacts = {
      now,
      started: this.started,
      lastOutput: this.#lastOutput,
      lastTool: this.#lastTool,
      openTool: this.#openTool(now),
      lastBusy: this.#lastBusy,
      asking: track.asking.length > 0,
      limitedUntil: held ? Number.POSITIVE_INFINITY : undefined,
      done: track.result !== undefined,
      actions: this.#actions,
      turnsWithoutChange: this.#turnsWithoutChange,
      steered: this.#steered,
      canSteer: this.#canSteer,
      extendedUntil: this.#extendedUntil,
    }
    const judgement = judge(facts, rules)
    // what a program tells of itself, as that it has taken our word, is no sign that it works again
    if (judgement.state !== 'stuck' && this.#lastWork > (this.#steered?.at ?? 0)) this.#steered = undefined
    return judgement
  }

  /** The tool that has been open for the longest time; where the program does not tell, one may have begun with its last word. */
  #openTool(now: number): LivenessFacts['openTool'] {
    const [tool] = this.agent.track().openTools
    // one whose beginning was not read here yet has just begun
    if (tool) return { name: tool.name, since: this.#open.get(tool.id)?.since ?? now }
    return this.#tellsTools ? undefined : { name: 'what it does', since: this.#lastOutput }
  }

  /** From now on it has so many ms in which no rule of time ends it. */
  extend(ms: number): void {
    this.#extendedUntil = this.#time() + ms
  }

  /** Speaks to it because it is stuck. False when that cannot be done. */
  steer(text: string): boolean {
    this.#steered = { at: this.#time() }
    return this.agent.send(text)
  }
}

function isWork(event: AgentEvent): boolean {
  switch (event.kind) {
    case 'tool_started':
    case 'tool_ended':
    case 'turn_ended':
      return true
    case 'output':
      return event.from === 'answer' || event.from === 'thought'
    default:
      return false
  }
}
