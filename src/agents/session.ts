import { storable } from '../contract/json.ts'
import {
  drain,
  endSession,
  newMarker,
  type Program,
  type SessionEnding,
  startProgram,
  within,
} from '../process/index.ts'
import type { Adapter, Answer, Conversation, Launch, SessionOrders } from './adapter.ts'
import { EventQueue } from './event-queue.ts'
import type { AgentEvent } from './events.ts'
import { makeHome, sessionEnvironment } from './home.ts'
import { decidePermission } from './permissions.ts'
import { cutText } from './text.ts'
import { answered, NEW_TRACK, prompted, type SessionTrack, track } from './tracking.ts'

export interface EndOptions {
  /** Ms that a program which has given its result may take to go by itself, 30,000 unless said; 0 ends it at once. */
  readonly lingerMs?: number
}

/** How a session's program has ended, and whether anything of it is left. */
export interface SessionEnd extends SessionEnding {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
}

/** A program at work for one agent. Whoever starts one reads its events to their end and calls `end`, also after it has exited. */
export interface AgentSession {
  readonly pid: number
  /** What every process of it carries in its environment. */
  readonly marker: string
  /** For one reader, to be read at once: the program waits when a thousand are unread. Ends after the program has. */
  readonly events: AsyncIterable<AgentEvent>
  /** What the events so far add up to. */
  track(): SessionTrack
  /** Steers: a word to the work in progress, or another prompt when it is done. False: this adapter cannot. */
  send(text: string): boolean
  /** Answers a question or a permission request by its id. False: nothing waits under that id. */
  answer(id: string, answer: Answer): boolean
  /** Stops the work on the prompt and keeps the session. False: this adapter cannot. */
  interrupt(): boolean
  /**
   * Ends the session with everything it has started: with a result, by letting it go; without, by its protocol's interrupt; then
   * SIGTERM, SIGKILL and a sweep by marker. Asked again it answers the same.
   */
  end(options?: EndOptions): Promise<SessionEnd>
}

const LINGER_MS = 30_000
/** How long a process that was left behind may hold the output open after the program's exit. */
const DRAIN_MS = 1_000
const STDERR_CHARS = 2_000

/**
 * Starts a session and gives it its prompt. A missing program or directory is DEPENDENCY; everything after that is told by events.
 */
export async function startSession(adapter: Adapter, orders: SessionOrders): Promise<AgentSession> {
  const launch = await adapter.launch(orders)
  await makeHome(orders, launch)
  const marker = orders.marker ?? newMarker()
  const program = await startProgram({
    argv: launch.argv,
    cwd: orders.cwd,
    env: sessionEnvironment(orders, launch),
    marker,
  })
  return new RunningSession(adapter, orders, launch, program, marker)
}

class RunningSession implements AgentSession {
  readonly pid: number
  readonly marker: string
  readonly events = new EventQueue()
  readonly #adapter: Adapter
  readonly #orders: SessionOrders
  readonly #program: Program
  readonly #conversation: Conversation
  #track = NEW_TRACK
  #stderr = ''
  #heard = 0
  #end: Promise<SessionEnd> | undefined

  constructor(adapter: Adapter, orders: SessionOrders, launch: Launch, program: Program, marker: string) {
    this.pid = program.pid
    this.marker = marker
    this.#adapter = adapter
    this.#orders = orders
    this.#program = program
    const { stdin, stdout, stderr } = program
    const wires = {
      stdin,
      stdout,
      stderr,
      emit: (event: AgentEvent) => this.#emit(event),
      room: () => this.events.room(),
    }
    this.#conversation = adapter.converse(orders, wires, launch)
    this.#watch()
  }

  track(): SessionTrack {
    return this.#track
  }

  send(text: string): boolean {
    if (!this.#conversation.send(text)) return false
    this.#track = prompted(this.#track)
    return true
  }

  answer(id: string, answer: Answer): boolean {
    if (!this.#track.asking.some((one) => one.id === id) || !this.#conversation.answer(id, answer))
      return false
    this.#track = answered(this.#track, id)
    return true
  }

  interrupt(): boolean {
    return this.#conversation.interrupt()
  }

  end(options: EndOptions = {}): Promise<SessionEnd> {
    this.#end ??= this.#endNow(options)
    return this.#end
  }

  #emit(said: AgentEvent): void {
    const event = storable(said)
    this.#heard++
    if (event.kind === 'output' && event.from === 'stderr') {
      this.#stderr = `${this.#stderr}${event.text}\n`.slice(-STDERR_CHARS)
    }
    const decision =
      event.kind === 'permission'
        ? decidePermission(this.#orders.settings.permissions ?? {}, event.tool)
        : 'ask'
    const told = event.kind === 'permission' && decision !== 'ask' ? { ...event, decided: decision } : event
    this.#track = track(this.#track, told, Date.now())
    this.events.push(told)
    if (told.kind === 'permission' && told.decided) {
      const denied = { kind: 'deny', reason: 'the rules of this role do not allow it' } as const
      this.#conversation.answer(told.id, told.decided === 'allow' ? { kind: 'allow' } : denied)
    }
  }

  /** Says how it ended when the program did not. */
  async #watch(): Promise<void> {
    const { exited, stdout, stderr } = this.#program
    const { exitCode, signal } = await exited
    await this.#drain()
    for (const pipe of [stdout, stderr]) pipe.destroy()
    const last = this.#track.result ? undefined : this.#conversation.exited?.({ exitCode, signal })
    if (last) this.#emit(last)
    if (!this.#track.result) {
      const how = signal ? `was ended by ${signal}` : `exited with ${exitCode}`
      const said = this.#stderr.trim()
      this.#emit({
        kind: 'result',
        ok: false,
        reason: this.#end ? 'interrupted' : 'crashed',
        detail: cutText(`the program ${how} without a result${said ? `: ${said}` : ''}`),
        native: { exit_code: exitCode, signal },
      })
    }
    this.events.end()
  }

  /** Waits for the rest of the output; not for ever, as a process that was left behind may hold it open. */
  async #drain(): Promise<void> {
    const heard = () => this.#heard
    do {
      if (await drain(this.#conversation.drained, DRAIN_MS, heard)) return
    } while (this.events.isFull)
  }

  async #endNow({ lingerMs = LINGER_MS }: EndOptions): Promise<SessionEnd> {
    const { exited } = this.#program
    const { interruptMs, graceMs, lingers } = this.#adapter.stop
    const idle = this.#track.result !== undefined
    if (idle) {
      this.#conversation.close()
      if (lingers !== false) await within(exited, lingerMs)
    }
    const interrupt = () => {
      this.#conversation.interrupt()
      this.#conversation.close()
    }
    const ending = await endSession({
      pid: this.pid,
      marker: this.marker,
      exited,
      graceMs,
      ...(interruptMs === undefined || idle ? {} : { interrupt, interruptMs }),
    })
    // what not even SIGKILL ends is in `left`; its exit will not come
    const exit = ending.left.length === 0 ? await exited : { exitCode: null, signal: null }
    // a reader that has gone must not hold the program's last events back
    this.#program.stdin.destroy()
    return { ...ending, ...exit }
  }
}
