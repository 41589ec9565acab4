import type {
  AnyMessage,
  ClientConnection,
  NewSessionRequest,
  RequestPermissionResponse,
} from '@agentclientprotocol/sdk'
import type { JsonObject } from '../../contract/json.ts'
import type { Answer, Conversation, SessionOrders, Wires } from '../adapter.ts'
import { listOf, objectOf, parseObject, textOf } from '../fields.ts'
import { createLineReader } from '../line-reader.ts'
import { cutText, valueText } from '../text.ts'
import { AcpUpdates, toolInput, toolName } from './updates.ts'

/** ACP's code for an agent that wants a login first. */
const AUTH_REQUIRED = -32_000

/** Talks to an agent as a client of the Agent Client Protocol. */
export class AcpConversation implements Conversation {
  readonly drained: Promise<void>
  readonly #orders: SessionOrders
  readonly #wires: Wires
  readonly #updates = new AcpUpdates()
  readonly #asked = new Map<string, { readonly tool: string; answer(answer: Answer): void }>()
  #incoming: ReadableStreamDefaultController<AnyMessage> | undefined
  #connection: ClientConnection | undefined
  #session = ''
  #queue: string[] = []
  #isBusy = false
  #lastAsked = 0

  constructor(orders: SessionOrders, wires: Wires) {
    this.#orders = orders
    this.#wires = wires
    const readable = new ReadableStream<AnyMessage>({
      start: (controller) => {
        this.#incoming = controller
      },
    })
    const writable = new WritableStream<AnyMessage>({
      write: (message) => {
        if (wires.stdin.writable) wires.stdin.write(`${JSON.stringify(message)}\n`)
      },
    })
    const { system_prompt } = orders.settings
    this.#queue.push(system_prompt === undefined ? orders.prompt : `${system_prompt}\n\n${orders.prompt}`)
    this.drained = Promise.all([this.#readAgent(), this.#readErrors()]).then(() => {})
    this.#begin({ readable, writable }).catch((error: unknown) => this.#fail(error))
  }

  /** The protocol has no words into a prompt: they are the next one. */
  send(text: string): boolean {
    this.#queue.push(text)
    this.#next()
    return true
  }

  answer(id: string, answer: Answer): boolean {
    const asked = this.#asked.get(id)
    if (!asked) return false
    this.#asked.delete(id)
    if (answer.kind === 'deny') this.#updates.denied(asked.tool)
    asked.answer(answer)
    return true
  }

  interrupt(): boolean {
    if (!this.#connection || this.#session === '') return false
    for (const id of [...this.#asked.keys()]) this.answer(id, { kind: 'deny' })
    this.#connection.agent.notify('session/cancel', { sessionId: this.#session }).catch(() => {})
    return true
  }

  close(): void {
    this.#wires.stdin.end()
  }

  async #begin(stream: {
    readable: ReadableStream<AnyMessage>
    writable: WritableStream<AnyMessage>
  }): Promise<void> {
    const { client, PROTOCOL_VERSION } = await import('@agentclientprotocol/sdk')
    const app = client({ name: 'swarm' }).onRequest('session/request_permission', ({ params }) =>
      this.#permission(JSON.parse(JSON.stringify(params))),
    )
    const connection = app.connect(stream)
    this.#connection = connection
    const greeting = await connection.agent.request('initialize', {
      protocolVersion: PROTOCOL_VERSION,
      clientInfo: { name: 'swarm', version: '1' },
      clientCapabilities: { fs: { readTextFile: false, writeTextFile: false }, terminal: false },
    })
    const { agentCapabilities, agentInfo, authMethods = [] } = greeting
    const open = () => this.#open(connection, agentCapabilities?.loadSession === true)
    try {
      this.#session = await open()
    } catch (error) {
      const byKey = authMethods.find(({ id }) => /api.?key/i.test(id))
      if (!byKey || codeOf(error) !== AUTH_REQUIRED) throw error
      await connection.agent.request('authenticate', { methodId: byKey.id })
      this.#session = await open()
    }
    const version = agentInfo?.version
    this.#wires.emit({
      kind: 'initialised',
      nativeId: this.#session,
      ...(version === undefined ? {} : { version }),
    })
    this.#next()
  }

  async #open({ agent }: ClientConnection, canLoad: boolean): Promise<string> {
    const { cwd, resume, mcp = [] } = this.#orders
    const mcpServers = mcp.map(({ name, command, args, env }) => ({
      name,
      command,
      args: [...args],
      env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
    }))
    if (resume === undefined) {
      const params: NewSessionRequest = { cwd, mcpServers }
      const { sessionId } = await agent.request('session/new', params)
      return sessionId
    }
    if (!canLoad) throw new Error('no session found: this agent cannot load earlier ones')
    await agent.request('session/load', { sessionId: resume, cwd, mcpServers })
    return resume
  }

  /** Gives the agent the next prompt when it is free. */
  #next(): void {
    const text = this.#isBusy || this.#session === '' ? undefined : this.#queue.shift()
    if (text === undefined || !this.#connection) return
    this.#isBusy = true
    const params = { sessionId: this.#session, prompt: [{ type: 'text' as const, text }] }
    this.#connection.agent
      .request('session/prompt', params)
      .then((response) => {
        for (const event of this.#updates.over(JSON.parse(JSON.stringify(response)))) this.#wires.emit(event)
      })
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#isBusy = false
        this.#next()
      })
  }

  #permission(params: JsonObject): Promise<RequestPermissionResponse> {
    const call = objectOf(params.toolCall)
    const id = `permission-${++this.#lastAsked}`
    const options = listOf(params.options).map(objectOf)
    const choose = (wanted: 'allow' | 'reject'): RequestPermissionResponse => {
      const fitting = options.filter(({ kind }) => String(kind).startsWith(wanted))
      const option = fitting.find(({ kind }) => kind === `${wanted}_once`) ?? fitting[0]
      const optionId = textOf(option?.optionId)
      return {
        outcome: optionId === undefined ? { outcome: 'cancelled' } : { outcome: 'selected', optionId },
      }
    }
    return new Promise((resolve) => {
      const answer = ({ kind }: Answer) => resolve(choose(kind === 'deny' ? 'reject' : 'allow'))
      this.#asked.set(id, { tool: toolName(call), answer })
      for (const event of this.#updates.called(call)) this.#wires.emit(event)
      this.#wires.emit({ kind: 'permission', id, tool: toolName(call), input: toolInput(call) })
    })
  }

  #fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error)
    // the connection has closed: the end of the process says more, and comes next
    if (/connection closed|closed before/i.test(message)) return
    const data =
      error instanceof Error && 'data' in error
        ? valueText(JSON.parse(JSON.stringify(error.data ?? null)))
        : ''
    if (codeOf(error) === AUTH_REQUIRED) {
      this.#wires.emit({ kind: 'result', ok: false, reason: 'auth', detail: cutText(message) })
      return
    }
    const events = this.#updates.failed(message, data, codeOf(error), Date.now())
    for (const event of events) this.#wires.emit(event)
  }

  /** Updates are taken as they are, so that kinds the library does not know yet are no faults; the rest is for the library. */
  async #readAgent(): Promise<void> {
    const reader = createLineReader()
    const take = (text: string) => {
      const message = parseObject(text)
      if (!message) this.#wires.emit({ kind: 'output', from: 'stdout', text: cutText(text) })
      else if (message.method !== 'session/update') {
        // the library checks what it gets; here it is known to be a JSON object
        this.#incoming?.enqueue(message as unknown as AnyMessage)
      } else if (this.#isBusy) {
        // what comes between prompts is the history of a session that was loaded
        const { update } = objectOf(message.params)
        for (const event of this.#updates.take(objectOf(update))) this.#wires.emit(event)
      }
    }
    try {
      for await (const chunk of this.#wires.stdout) {
        for (const { text, whole } of reader.push(Buffer.from(chunk))) if (whole) take(text)
        await this.#wires.room()
      }
    } catch {
      // the stream was closed on the way out
    }
    this.#incoming?.close()
  }

  async #readErrors(): Promise<void> {
    const reader = createLineReader()
    try {
      for await (const chunk of this.#wires.stderr) {
        for (const { text } of reader.push(Buffer.from(chunk))) {
          this.#wires.emit({ kind: 'output', from: 'stderr', text: cutText(text) })
        }
      }
    } catch {
      // the stream was closed on the way out
    }
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
