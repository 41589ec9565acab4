import type { JsonObject } from '../../contract/json.ts'
import { within } from '../../process/index.ts'
import type { Answer, Conversation, Launch, SessionOrders, Wires } from '../adapter.ts'
import type { AgentEvent } from '../events.ts'
import { reasonOfWords } from '../failures.ts'
import { createLineReader } from '../line-reader.ts'
import { splitAnswer } from '../questions.ts'
import { cutText } from '../text.ts'
import { OpencodeEvents } from './events.ts'
import { OpencodeServer } from './server.ts'
import { readEvents } from './sse.ts'

export const PASSWORD = 'OPENCODE_SERVER_PASSWORD'
/** How long the server may take to say where it listens. */
const START_MS = 120_000

/** Talks to `opencode serve`: requests over HTTP, and its stream of events. */
export class OpencodeConversation implements Conversation {
  readonly drained: Promise<void>
  readonly #orders: SessionOrders
  readonly #wires: Wires
  readonly #asked = new Map<string, Extract<AgentEvent, { kind: 'question' | 'permission' }>>()
  readonly #password: string
  #server: OpencodeServer | undefined
  #events: OpencodeEvents | undefined
  #session = ''
  #early: string[] = []

  constructor(orders: SessionOrders, wires: Wires, launch: Launch) {
    this.#orders = orders
    this.#wires = wires
    this.#password = launch.env[PASSWORD] ?? ''
    wires.stdin.end()
    let found: (base: string) => void = () => {}
    const base = new Promise<string>((resolve) => {
      found = resolve
    })
    const outputs = [this.#read('stdout', found), this.#read('stderr', found)]
    const talk = this.#talk(base).catch((error: unknown) => this.#fail(error))
    this.drained = Promise.all(outputs)
      .then(() => within(talk, 1_000))
      .then(() => {})
  }

  send(text: string): boolean {
    if (this.#session === '') this.#early.push(text)
    else this.#background(this.#prompt(text))
    return true
  }

  answer(id: string, answer: Answer): boolean {
    const asked = this.#asked.get(id)
    if (!asked || !this.#server) return false
    this.#asked.delete(id)
    const isDenied = answer.kind === 'deny'
    if (asked.kind === 'question') {
      const path = isDenied ? `/question/${id}/reject` : `/question/${id}/reply`
      const count = asked.text.split('\n').filter((line) => /^\d+\. /.test(line)).length || 1
      const texts = answer.kind === 'text' ? splitAnswer(answer.text, count) : []
      this.#background(this.#server.call('POST', path, { answers: texts.map((text) => [text]) }))
      return true
    }
    if (isDenied) this.#events?.denied(asked.tool)
    const message = answer.kind === 'deny' ? answer.reason : undefined
    const reply = { reply: isDenied ? 'reject' : 'once', ...(message === undefined ? {} : { message }) }
    this.#background(this.#server.call('POST', `/permission/${id}/reply`, reply))
    return true
  }

  interrupt(): boolean {
    if (!this.#server || this.#session === '') return false
    this.#background(this.#server.call('POST', `/session/${this.#session}/abort`))
    return true
  }

  /** A server does not leave by itself. */
  close(): void {}

  async #talk(base: Promise<string>): Promise<void> {
    if (!(await within(base, START_MS))) throw new Error('the server did not say where it listens')
    const server = new OpencodeServer(await base, this.#password)
    this.#server = server
    const stream = await server.events()
    const { resume } = this.#orders
    const session =
      resume === undefined
        ? await server.call('POST', '/session', { title: 'swarm' })
        : await server.call('GET', `/session/${encodeURIComponent(resume)}`)
    this.#session = String(session.id)
    const events = new OpencodeEvents(this.#session)
    this.#events = events
    this.#wires.emit({ kind: 'initialised', nativeId: this.#session, version: String(session.version) })
    for (const text of [this.#orders.prompt, ...this.#early.splice(0)]) await this.#prompt(text)
    for await (const message of readEvents(stream)) {
      for (const event of events.take(message)) {
        if (event.kind === 'question' || event.kind === 'permission') this.#asked.set(event.id, event)
        this.#wires.emit(event)
      }
      await this.#wires.room()
    }
  }

  #prompt(text: string): Promise<JsonObject> {
    const { model, system_prompt } = this.#orders.settings
    this.#events?.prompted()
    const [provider = '', ...rest] = (model ?? '').split('/')
    return (
      this.#server?.call('POST', `/session/${this.#session}/prompt_async`, {
        parts: [{ type: 'text', text }],
        ...(model === undefined ? {} : { model: { providerID: provider, modelID: rest.join('/') } }),
        ...(system_prompt === undefined ? {} : { system: system_prompt }),
      }) ?? Promise.resolve({})
    )
  }

  #background(call: Promise<unknown>): void {
    call.catch((error: unknown) => this.#fail(error))
  }

  /** The server has refused or gone. When it has gone, the end of the process says more, and comes next. */
  #fail(error: unknown): void {
    const detail = error instanceof Error ? error.message : String(error)
    if (/terminated|fetch failed|other side closed/.test(detail)) return
    const reason = /answered 404/.test(detail) ? 'configuration' : reasonOfWords(detail)
    this.#wires.emit({ kind: 'result', ok: false, reason, detail: cutText(detail) })
  }

  async #read(from: 'stdout' | 'stderr', found: (base: string) => void): Promise<void> {
    const reader = createLineReader()
    try {
      for await (const chunk of this.#wires[from]) {
        for (const { text } of reader.push(Buffer.from(chunk))) {
          const base = /listening on (http:\S+)/.exec(text)?.[1]
          if (base !== undefined) found(base)
          this.#wires.emit({ kind: 'output', from, text: cutText(text) })
        }
        await this.#wires.room()
      }
    } catch {
      // the stream was closed on the way out
    }
  }
}
