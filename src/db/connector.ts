import { connect, type Socket } from 'node:net'
import { type ConnectOptions, type HostPort, isThisHost } from './url.ts'

/** The cancel request of the Postgres protocol: length, code, pid, secret. */
const CANCEL_CODE = 80_877_102
const HUNG_UP = 'the server closed the connection without an answer'

/**
 * Makes the sockets of one client and keeps hold of them. The driver ends a socket politely and waits; on a half-open
 * connection it would wait for ever, so the sockets are ours to destroy, and to take off the event loop while they are idle.
 */
export class Connector {
  readonly #options: ConnectOptions
  readonly #timeoutMs: number
  readonly #limit: number
  readonly #sockets = new Set<Socket>()
  #prepared: Promise<Socket> | undefined
  #latest: Socket | undefined
  #unanswered = 0
  #destroyed = false
  #referenced = true

  /** `limit` connections may be made before the server has answered a query. */
  constructor(options: ConnectOptions, timeoutMs: number, limit: number) {
    this.#options = options
    this.#timeoutMs = timeoutMs
    this.#limit = limit
  }

  /** Starts the first connection ahead of the driver, which waits a turn of the event loop. */
  prepare(): void {
    this.#prepared = this.#connectAny()
    this.#prepared.catch(() => {})
  }

  /** The driver's `socket` option: a connected socket, or a throw with the system's code. */
  readonly open = (): Promise<Socket> => {
    // after a server that hangs up, the driver would try again at once and for ever
    if (this.#unanswered >= this.#limit) return Promise.reject(fault('ECONNREFUSED', HUNG_UP))
    this.#unanswered += 1
    const prepared = this.#prepared
    this.#prepared = undefined
    return prepared ? prepared.then(alive) : this.#connectAny()
  }

  /** Told after each answer of the server. */
  answered(): void {
    this.#unanswered = 0
  }

  /** Whether these sockets keep the process running. */
  keepAlive(referenced: boolean): void {
    if (this.#referenced === referenced) return
    this.#referenced = referenced
    for (const socket of this.#sockets) referenced ? socket.ref() : socket.unref()
  }

  /** Asks the server to stop a statement; best effort, the answer to it is lost with its connection. */
  cancel(pid: number, secret: number): void {
    const address = this.#options.hosts[0]
    if (!address) return
    const packet = Buffer.alloc(16)
    packet.writeInt32BE(16, 0)
    packet.writeInt32BE(CANCEL_CODE, 4)
    packet.writeUInt32BE(pid, 8)
    packet.writeUInt32BE(secret, 12)
    const socket = dial(this.#latestAddress() ?? address)
    socket.unref()
    socket.setTimeout(this.#timeoutMs, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.end(packet)
  }

  /** Destroys every socket, also those that still connect; none is made afterwards. */
  destroy(): void {
    this.#destroyed = true
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
  }

  async #connectAny(): Promise<Socket> {
    let refused: unknown = fault('ENOTFOUND', 'no host to connect to')
    for (const address of this.#options.hosts) {
      try {
        return await this.#connect(address)
      } catch (error) {
        refused = error
      }
    }
    throw refused
  }

  #connect(address: HostPort): Promise<Socket> {
    if (this.#destroyed) return Promise.reject(fault('CONNECTION_ENDED', 'the client has been closed'))
    const socket = dial(address)
    for (const old of this.#sockets) if (old.destroyed) this.#sockets.delete(old)
    this.#sockets.add(socket)
    // a fault while nobody else listens must not end the process
    socket.on('error', () => {})
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        socket.destroy(fault('CONNECT_TIMEOUT', `no connection within ${this.#timeoutMs} ms`))
      }, this.#timeoutMs)
      const failed = (error: Error) => settle(() => reject(error))
      const closed = () => settle(() => reject(fault('CONNECTION_ENDED', 'the client has been closed')))
      const settle = (end: () => void) => {
        clearTimeout(timer)
        socket.off('error', failed)
        socket.off('close', closed)
        end()
      }
      socket.once('error', failed)
      socket.once('close', closed)
      socket.once('connect', () => {
        socket.setNoDelay(true)
        if (!this.#referenced) socket.unref()
        // the driver reads `host` for the name in the certificate; `clearText` is for its patch
        Object.assign(socket, {
          host: address.host,
          port: address.port,
          clearText: isThisHost(address.host),
        })
        this.#latest = socket
        settle(() => resolve(socket))
      })
    })
  }

  #latestAddress(): HostPort | undefined {
    const host: unknown = this.#latest && Reflect.get(this.#latest, 'host')
    return this.#options.hosts.find((address) => address.host === host)
  }
}

function alive(socket: Socket): Socket {
  if (socket.destroyed) throw fault('ECONNREFUSED', HUNG_UP)
  return socket
}

function dial({ host, port }: HostPort): Socket {
  return host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect({ host, port, keepAlive: true })
}

function fault(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}
