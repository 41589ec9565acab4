import type { Readable, Writable } from 'node:stream'
import {
  type JSONRPCMessage,
  type JSONRPCRequest,
  parseJSONRPCMessage,
  type Transport,
} from '@modelcontextprotocol/server'
import type { Json } from '../../contract/json.ts'
import { changedInteger } from '../../wire/integers.ts'
import type { Line } from '../../wire/lines.ts'
import { createSource } from '../../wire/source.ts'
import { createWriter } from '../../wire/writer.ts'

/** A longest line: a bead's text with its artifacts fits, and no client fills the memory. */
const MAX_LINE_BYTES = 16_777_216
/** Requests of one client that may be open at once. */
const MAX_OPEN = 256
const HURRY_MS = 2_000

const PARSE_ERROR = -32_700
const INVALID_REQUEST = -32_600
const INVALID_PARAMS = -32_602
const BUSY = -32_000

type Id = string | number

export interface LineTransportOptions {
  readonly input: Readable
  readonly output: Writable
  readonly maxLineBytes?: number | undefined
  /** Called before a subscription is asked for: it is asked for once this resolves. */
  readonly beforeListening: () => Promise<void>
  /** Called when the last subscription has been cancelled. */
  readonly onListeningEnd: () => void
  /** Called once when the input has ended and every request has been answered. */
  readonly onDrained: () => void
  /** Called once when the input has ended: what waits for something may still be answered. */
  readonly onInputEnd: () => void
  /** Called once when nobody reads the output any more. */
  readonly onOutputClosed: () => void
}

/** A line of JSON each way, as MCP has it over stdin and stdout. */
export interface LineTransport extends Transport {
  /** Reads no more; what is open is still answered, and then it has drained. */
  stop(): void
}

/**
 * Unlike the library's transport it answers what is open when the input ends, bounds a line without ending the connection, and
 * says of a line that cannot be read that it cannot.
 */
export function createLineTransport(options: LineTransportOptions): LineTransport {
  const { output, onDrained, onInputEnd, onOutputClosed, beforeListening, onListeningEnd } = options
  const open = new Set<Id>()
  /** Subscriptions: they are open as long as their connection, and keep nothing from draining. */
  const listening = new Set<Id>()
  let ended = false
  let drained = false

  const writer = createWriter(output, () => {
    if (!drained) onOutputClosed()
  })

  const settle = () => {
    if (!ended || drained || open.size > 0) return
    drained = true
    onDrained()
  }
  const write = (message: object) => writer.write(`${JSON.stringify(message)}\n`)
  const refuse = (id: Id | null, code: number, message: string) =>
    write({ jsonrpc: '2.0', id, error: { code, message } })

  const endListening = (id: Id) => {
    if (listening.delete(id) && listening.size === 0) onListeningEnd()
  }
  const listen = (message: JSONRPCRequest) => {
    listening.add(message.id)
    beforeListening()
      .then(() => {
        // cancelled in the meantime
        if (listening.has(message.id)) transport.onmessage?.(message)
      })
      .catch((error) => transport.onerror?.(error))
  }

  const take = (line: Line) => {
    if ('problem' in line) {
      const { problem, number } = line
      const what = problem.kind === 'too-long' ? `longer than ${problem.limit} bytes` : 'not UTF-8'
      return refuse(null, PARSE_ERROR, `line ${number} is ${what}`)
    }
    const value = parse(line.text)
    if (value === undefined) return refuse(null, PARSE_ERROR, `line ${line.number} is not JSON`)
    const id = idOf(value)
    const changed = changedInteger(line.text, value)
    if (changed) return refuse(id, INVALID_PARAMS, changed.message)
    const message = messageOf(value)
    if (!message) return refuse(id, INVALID_REQUEST, `line ${line.number} is no message of JSON-RPC 2.0`)
    if ('method' in message && 'id' in message) {
      if (open.has(message.id) || listening.has(message.id))
        return refuse(null, INVALID_REQUEST, `id ${message.id} is open already`)
      if (open.size + listening.size >= MAX_OPEN)
        return refuse(message.id, BUSY, `${MAX_OPEN} requests are open already`)
      if (message.method === 'subscriptions/listen') return listen(message)
      open.add(message.id)
    } else if ('method' in message && message.method === 'notifications/cancelled') {
      const cancelled = message.params?.requestId
      if (typeof cancelled === 'string' || typeof cancelled === 'number') {
        open.delete(cancelled)
        endListening(cancelled)
      }
    }
    transport.onmessage?.(message)
  }

  const source = createSource(options.input, {
    maxLineBytes: options.maxLineBytes ?? MAX_LINE_BYTES,
    maxQueuedLines: 1_024,
    maxQueuedBytes: MAX_LINE_BYTES,
    onEnd: onInputEnd,
  })

  const pump = async () => {
    for (;;) {
      await writer.ready()
      const line = await source.next()
      if (!line || writer.closed) break
      take(line)
    }
    ended = true
    settle()
  }

  const transport: LineTransport = {
    async start() {
      pump().catch((error) => transport.onerror?.(error))
    },
    async send(message) {
      write(message)
      if ('id' in message && message.id !== undefined && !('method' in message)) {
        open.delete(message.id)
        // refused, or ended by the library
        endListening(message.id)
        // the library may still have a word to say about this request
        setImmediate(settle)
      }
      await writer.ready()
    },
    async close() {
      source.stop()
      writer.hurry(HURRY_MS)
      await writer.flush()
      transport.onclose?.()
    },
    stop: () => source.stop(),
  }
  return transport
}

function parse(text: string): Json | undefined {
  try {
    // safe: JSON.parse without a reviver returns JSON
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

function messageOf(value: Json): JSONRPCMessage | undefined {
  try {
    return parseJSONRPCMessage(value)
  } catch {
    return undefined
  }
}

function idOf(value: Json): Id | null {
  if (typeof value !== 'object' || value === null || !('id' in value)) return null
  const { id } = value
  if (typeof id === 'string') return id
  return typeof id === 'number' && Number.isSafeInteger(id) ? id : null
}
