import type { Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** The connections of a server. */
export interface Clients {
  /** Ends them: the idle ones at once, the others when they have their answer, at most `ms` later. */
  end(ms: number): Promise<void>
}

/**
 * Keeps account of a server's connections and answers what is no HTTP: a request that is malformed, or does not arrive in time, gets an
 * envelope and is cut.
 */
export function keepClients(server: Server & { closeIdleConnections?: () => void }): Clients {
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => refuse(error, socket))
  const endIdle = () => {
    server.closeIdleConnections?.()
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

const ANSWERS: Readonly<Record<string, readonly [number, string, string, string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'TIMEOUT', 'the request did not arrive in time'],
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'INVALID', 'the headers are too long'],
}

function refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const [status, reason, code, msg] = ANSWERS[error.code ?? ''] ?? [
    400,
    'Bad Request',
    'INVALID',
    'this is no HTTP request',
  ]
  const body = JSON.stringify({ ok: false, t: Date.now(), ms: 0, err: { code, msg } })
  socket.end(
    [
      `HTTP/1.1 ${status} ${reason}`,
      'Content-Type: application/json; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
    () => socket.destroy(),
  )
}
