import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { addressOf } from './address.ts'

/** A connection that was not let in may read why for so long, and so many at once. */
const LEAVING_MS = 500
const MOST_LEAVING = 256

/** Requests that a client may send before it has the answer of the first: each holds memory until that is read. */
const MOST_UNANSWERED = 32

/** The connections of a server. */
export interface Clients {
  /** Ends them: the idle ones at once, the others when they have their answer, at most `ms` later. */
  end(ms: number): Promise<void>
}

export interface ClientLimits {
  /** Connections that may be open at once. */
  readonly most: number
  /** Those of one address; of a proxy as many as there may be. */
  readonly mostOfAddress: number
  readonly isProxy: (peer: string | undefined) => boolean
  /** A client that has read nothing of its answer for so long is cut. */
  readonly unreadMs: number
}

/**
 * Keeps account of a server's connections, and cuts those beyond its limits and those whose client does not read. Answers what is no HTTP: a
 * request that is malformed, or does not arrive in time, gets an envelope and is cut.
 */
export function keepClients(server: Server, limits: ClientLimits): Clients {
  const open = new Set<Socket>()
  const ofAddress = new Map<string, number>()
  const part = createParting()

  const hold = (socket: Socket, address: string) => {
    open.add(socket)
    ofAddress.set(address, (ofAddress.get(address) ?? 0) + 1)
    socket.once('close', () => {
      open.delete(socket)
      const rest = (ofAddress.get(address) ?? 1) - 1
      if (rest > 0) ofAddress.set(address, rest)
      else ofAddress.delete(address)
    })
  }
  // safe: an HTTP server calls its listeners for connections so
  const [serve] = server.listeners('connection') as ((socket: Socket) => void)[]
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    const address = addressOf(socket.remoteAddress)
    if (open.size >= limits.most) return part(socket, TOO_MANY)
    if ((ofAddress.get(address) ?? 0) >= limits.mostOfAddress && !limits.isProxy(socket.remoteAddress))
      return part(socket, TOO_MANY_OF_YOURS)
    hold(socket, address)
    return serve?.call(server, socket)
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => refuse(error, socket))
  server.timeout = limits.unreadMs
  // safe: and those for requests so
  const [answer] = server.listeners('request') as ((...of: [IncomingMessage, ServerResponse]) => void)[]
  const unanswered = new WeakMap<Socket, number>()
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request
    const count = unanswered.get(socket) ?? 0
    // those that were read together with one that is too many come all the same
    if (socket.destroyed) return
    if (count >= MOST_UNANSWERED) return void socket.destroy()
    unanswered.set(socket, count + 1)
    response.once('close', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1))
    // nothing was read or written for so long: what waits for the server goes on, what waits for the client does not
    response.on('timeout', () => {
      if (socket.writableLength > 0) socket.destroy()
    })
    answer?.call(server, request, response)
  })

  const endIdle = () => {
    server.closeIdleConnections()
    // a connection on which nothing has come yet is none of those
    for (const socket of open) if (socket.bytesRead === 0) socket.destroy()
  }
  return {
    async end(ms) {
      endIdle()
      const over = performance.now() + ms
      while (open.size > 0 && performance.now() < over) {
        await new Promise<void>((resolve) => setTimeout(resolve, 20))
        endIdle()
      }
      for (const socket of open) socket.destroy()
    },
  }
}

/** What is said to a connection that is no use: status, reason, code of the error, message. */
type Answer = readonly [number, string, string, string]

const TOO_MANY: Answer = [503, 'Service Unavailable', 'BUSY', 'too many connections are open; try again']
const TOO_MANY_OF_YOURS: Answer = [429, 'Too Many Requests', 'BUSY', 'your address has too many connections']
const NO_HTTP: Answer = [400, 'Bad Request', 'INVALID', 'this is no HTTP request']
const ANSWERS: Readonly<Record<string, Answer>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'TIMEOUT', 'the request did not arrive in time'],
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'INVALID', 'the headers are too long'],
}

function refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  socket.end(textOf(ANSWERS[error.code ?? ''] ?? NO_HTTP), () => socket.destroy())
}

/** Says why to a connection that is not let in. It may read that for a moment, unless too many do already. */
function createParting(): (socket: Socket, why: Answer) => void {
  const leaving = new Set<Socket>()
  return (socket, why) => {
    socket.on('error', () => {})
    socket.once('close', () => leaving.delete(socket))
    leaving.add(socket)
    socket.resume()
    const cut = () => void socket.destroy()
    if (leaving.size > MOST_LEAVING) socket.end(textOf(why), cut)
    else {
      socket.end(textOf(why))
      setTimeout(cut, LEAVING_MS).unref()
    }
  }
}

function textOf([status, reason, code, msg]: Answer): string {
  const body = JSON.stringify({ ok: false, t: Date.now(), ms: 0, err: { code, msg } })
  return [
    `HTTP/1.1 ${status} ${reason}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(code === 'BUSY' ? ['Retry-After: 1'] : []),
    'Connection: close',
    '',
    body,
  ].join('\r\n')
}
