import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:net'
import type { Duplex } from 'node:stream'

type Listener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** Answers upgrades to anything but a WebSocket, which would be left waiting for ever. */
export function onlyWebSockets(server: Server): void {
  // safe: an HTTP server calls its listeners for upgrades so
  const [upgrade] = server.listeners('upgrade') as Listener[]
  server.removeAllListeners('upgrade')
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (request.headers.upgrade?.toLowerCase() === 'websocket')
      return upgrade?.call(server, request, socket, head)
    socket.on('error', () => {})
    return socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  })
}
