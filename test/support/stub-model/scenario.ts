import type { IncomingHttpHeaders, ServerResponse } from 'node:http'

/** What the model does in one of its turns. */
export interface Turn {
  readonly say?: string
  /** Runs this by whatever tool for shell commands the program offers. */
  readonly shell?: string
  /** Calls a tool whose name ends so. */
  readonly call?: { readonly tool: string; readonly input: object }
  /** Begins its answer and never goes on. */
  readonly hang?: boolean
  /** Ms before it answers. */
  readonly waitMs?: number
}

/** How a request fails before the model gets it. */
export interface Fault {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** Accepts the request and says nothing. */
  readonly hang?: boolean
  /** Closes the connection. */
  readonly reset?: boolean
  /** How many requests it hits, 1 unless said. */
  readonly times?: number
}

export interface Scenario {
  /** By number of the turn since the prompt; the last one again when there are more. */
  readonly turns: readonly Turn[]
  /** In order, before any turn. */
  readonly faults?: readonly Fault[]
}

export interface Tool {
  readonly name: string
  readonly namespace?: string | undefined
  readonly parameters: Readonly<Record<string, unknown>>
}

/** A request as the server understands it. */
export interface Asked {
  /** `work` is the agent itself; `aside` a small job without tools (a title); `other` no generation at all. */
  readonly purpose: 'work' | 'aside' | 'other'
  readonly turn: number
  readonly tools: readonly Tool[]
}

export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly namespace?: string | undefined
  readonly input: object
}

/** What is sent back, in whatever format. */
export interface Reply {
  readonly text: string | undefined
  readonly call: ToolCall | undefined
  /** The answer begins and stops there. */
  readonly hang: boolean
}

/** One wire format of model services. */
export interface Format {
  readonly name: string
  accepts(path: string): boolean
  read(path: string, body: Body): Asked
  /** Answers a request that is no generation. */
  other(res: ServerResponse, path: string): void
  send(res: ServerResponse, body: Body, reply: Reply): void
}

/** A JSON body whose fields may be anything. */
export type Body = { readonly [key: string]: unknown }

export interface SeenRequest {
  readonly format: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly purpose: Asked['purpose']
  readonly body: Body
}

let last = 0
/** Ids never repeat, not even in another run: a program drops a tool's result when it knows the id already. */
export const freshId = (prefix: string) => `${prefix}${Date.now().toString(36)}${process.pid}${++last}`

export const list = (value: unknown): readonly Body[] => (Array.isArray(value) ? value : [])
export const fields = (value: unknown): Body =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {}

/** Messages from the end back to the last that is a prompt; answers how many turns of the model are among them: what it said in a row is one. */
export function countTurns(
  messages: readonly Body[],
  kindOf: (message: Body) => 'model' | 'prompt' | undefined,
): number {
  let turns = 0
  let after: ReturnType<typeof kindOf>
  for (const message of messages.toReversed()) {
    const kind = kindOf(message)
    if (kind === 'prompt') break
    if (kind === 'model' && after !== 'model') turns++
    after = kind
  }
  return turns
}

export function sendJson(res: ServerResponse, value: unknown): void {
  res.writeHead(200, { 'content-type': 'application/json' })
  res.end(JSON.stringify(value))
}

/** Begins a stream of server-sent events, whose lines end in `end`; the answered function writes one. */
export function beginEvents(res: ServerResponse, end = '\n'): (data: object, event?: string) => void {
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  res.flushHeaders()
  return (data, event) => {
    const name = event === undefined ? '' : `event: ${event}${end}`
    res.write(`${name}data: ${JSON.stringify(data)}${end}${end}`)
  }
}
