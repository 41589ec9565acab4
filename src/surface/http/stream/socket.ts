import { Readable, Writable } from 'node:stream'
import type { WebSocket } from 'ws'
import { type Reply, type Rid, renderLine, toEnvelope } from '../../../contract/envelope.ts'
import { SwarmError } from '../../../contract/errors.ts'
import type { Json, JsonObject } from '../../../contract/json.ts'
import { getLogger } from '../../../logger.ts'
import type { Dispatcher } from '../../../runtime/dispatch.ts'
import { decodeLine, ridOf } from '../../../wire/decode.ts'
import { runSession } from '../../../wire/session.ts'
import type { Filters } from './frames.ts'
import type { Member } from './groups.ts'
import { invalid } from './invalid.ts'
import { MOST_UNREAD_BYTES, type Streams } from './streams.ts'
import { MOST_TOPICS, subscribeMessage, unsubscribeMessage } from './wanted.ts'

const PING_MS = 20_000
const PARTING_MS = 1_000
const CODES = { slow: 1013, log: 1012, shutdown: 1001, token: 1008 } as const

/** Messages with a type that are verbs by another name, and the names of their fields. */
const VERBS: Readonly<Record<string, string>> = {
  'task:assign': 'assign',
  'session:terminate': 'kill',
  'qa:trigger': 'qa',
}
const FIELDS: Readonly<Record<string, string>> = {
  task_id: 'bead_id',
  taskId: 'bead_id',
  ticket_id: 'bead_id',
  ticketId: 'bead_id',
  beadId: 'bead_id',
  agentId: 'agent_id',
  sessionId: 'session_id',
}

export interface SocketOptions {
  readonly token: string | undefined
  readonly streams: Streams
  /** Makes the socket's own dispatcher, when it sends its first verb. */
  readonly open: () => Dispatcher
  /** Called once when it has ended. */
  readonly onEnd: () => void
  readonly maxLineBytes: number
}

/** Serves one socket: what it subscribes to, and verbs as in a pipe. A socket that answers no ping is ended. */
export function serveSocket(socket: WebSocket, options: SocketOptions): void {
  const { streams } = options
  let topics = new Set<string>()
  let filters: Filters = {}
  let joined = false
  let gone = false
  let alive = true
  let verbs: { readonly write: (line: string) => void; readonly end: () => void } | undefined

  const member: Member = {
    form: 'line',
    get topics() {
      return topics
    },
    get filters() {
      return filters
    },
    token: options.token,
    get gone() {
      return gone
    },
    send(bytes) {
      if (gone) return
      socket.send(bytes, { binary: false })
      if (socket.bufferedAmount > MOST_UNREAD_BYTES) member.cut('slow')
    },
    async drained() {
      while (!gone && socket.bufferedAmount > MOST_UNREAD_BYTES / 4)
        await new Promise<void>((resolve) => setTimeout(resolve, 20))
    },
    cut(reason) {
      if (gone) return
      gone = true
      socket.send(JSON.stringify({ event: 'closing', data: { reason } }))
      socket.close(CODES[reason], reason)
      setTimeout(() => socket.terminate(), PARTING_MS).unref()
      streams.hub.leave(member)
    },
  }

  const answer = (rid: Rid | undefined, outcome: { readonly d: Json } | { readonly error: SwarmError }) => {
    if (gone) return
    const head = { ...(rid === undefined ? {} : { rid }), t: Date.now(), ms: 0 }
    const reply: Reply =
      'd' in outcome ? { ok: true, ...head, ...outcome } : { ok: false, ...head, ...outcome }
    member.send(Buffer.from(JSON.stringify(toEnvelope(reply, renderLine))))
  }

  async function subscribe(message: JsonObject): Promise<Json> {
    const parsed = subscribeMessage.safeParse(message)
    if (!parsed.success) throw invalid(parsed.error.issues)
    const { channels = [], rooms = [], from, filters: wanted } = parsed.data
    const next = new Set([...topics, ...channels, ...rooms])
    if (next.size > MOST_TOPICS) throw tooMany()
    streams.hub.move(member, () => {
      topics = next
      filters = wanted ?? filters
    })
    if (joined && from === undefined) return { ...shown(), cursor: null }
    // what was missed comes before what happens meanwhile
    streams.hub.leave(member)
    joined = true
    const cursor = await streams.hub.join(member, from)
    return { ...shown(), cursor }
  }

  function unsubscribe(message: JsonObject): Json {
    const parsed = unsubscribeMessage.safeParse(message)
    if (!parsed.success) throw invalid(parsed.error.issues)
    const { channels = [], rooms = [] } = parsed.data
    const out = new Set<string>([...channels, ...rooms])
    streams.hub.move(member, () => {
      topics = new Set([...topics].filter((topic) => !out.has(topic)))
    })
    return shown()
  }

  function shown() {
    const all = [...topics].sort()
    return {
      channels: all.filter((topic) => !topic.includes(':')),
      rooms: all.filter((topic) => topic.includes(':')),
    }
  }

  async function take(text: string): Promise<void> {
    const decoded = decodeLine({ number: 1, bytes: Buffer.byteLength(text), text })
    const message = decoded.error ? undefined : decoded.request
    const type = message?.type
    if (!message || typeof type !== 'string' || message.cmd !== undefined) {
      verbs ??= serveVerbs()
      verbs.write(text)
      return
    }
    const rid = ridOf(message)
    const verb = Object.hasOwn(VERBS, type) ? VERBS[type] : undefined
    if (verb !== undefined) {
      verbs ??= serveVerbs()
      verbs.write(JSON.stringify({ ...renamed(message), cmd: verb, rid: rid ?? `${type}-${Date.now()}` }))
      return
    }
    try {
      if (type === 'subscribe') answer(rid, { d: await subscribe(message) })
      else if (type === 'unsubscribe') answer(rid, { d: unsubscribe(message) })
      else throw unknownType(type)
    } catch (error) {
      if (!(error instanceof SwarmError))
        getLogger().error({ err: error }, 'a fault while answering a message')
      answer(rid, {
        error: error instanceof SwarmError ? error : new SwarmError('INTERNAL', 'a fault in swarm'),
      })
    }
  }

  /** A session as that of a pipe: lines in order, waits beside them, claims that are renewed while the socket is open. */
  function serveVerbs() {
    const dispatcher = options.open()
    dispatcher.startRenewing()
    const input = new Readable({ read: () => socket.resume() })
    const output = new Writable({
      write(chunk: Buffer, _encoding, done) {
        if (socket.readyState !== socket.OPEN) return done()
        socket.send(chunk.toString('utf8').trimEnd(), (error) => done(error))
      },
    })
    const running = runSession({
      input,
      output,
      handler: dispatcher,
      limits: { maxLineBytes: options.maxLineBytes },
      onInputEnd: () => dispatcher.shutdown(),
      onOutputClosed: () => dispatcher.shutdown(),
      onFault: (err) => getLogger().error({ err }, 'a fault while answering a request'),
    })
    running.finally(() => dispatcher.close()).catch(() => {})
    return {
      write(line: string) {
        // a client that sends faster than it is answered is not read meanwhile
        if (!input.push(`${line}\n`)) socket.pause()
      },
      end() {
        input.push(null)
      },
    }
  }

  const pings = setInterval(() => {
    if (!alive) return socket.terminate()
    alive = false
    socket.ping()
  }, PING_MS)
  pings.unref()

  socket.on('pong', () => {
    alive = true
  })
  let order = Promise.resolve()
  socket.on('message', (data) => {
    alive = true
    for (const line of String(data).split('\n')) if (line.trim() !== '') order = order.then(() => take(line))
  })
  socket.on('error', () => {})
  socket.once('close', () => {
    gone = true
    clearInterval(pings)
    streams.hub.leave(member)
    verbs?.end()
    options.onEnd()
  })
}

function renamed({ type: _type, ...fields }: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [Object.hasOwn(FIELDS, name) ? FIELDS[name] : name, value]),
  )
}

function unknownType(type: string): SwarmError {
  const valid = ['subscribe', 'unsubscribe', ...Object.keys(VERBS)]
  return new SwarmError('INVALID', `there is no message ${type.slice(0, 64)}`, {
    ctx: { kind: 'InvalidValue', field: 'type', expected: valid.join(', '), got: type.slice(0, 64) },
  })
}

function tooMany(): SwarmError {
  return new SwarmError('INVALID', `a client may be in ${MOST_TOPICS} channels and rooms`, {
    ctx: { kind: 'InvalidValue', field: 'rooms', expected: `at most ${MOST_TOPICS}`, got: 'more' },
  })
}
