import { createServer, connect as netConnect, type Server, type Socket } from 'node:net'

/** What lies between a client and its server. */
export interface TestProxy {
  readonly port: number
  /** Connections made so far. */
  readonly accepted: number
  /** Times the client spoke after the server had: one for each round trip. */
  readonly roundTrips: number
  /** From now on nothing passes, and nothing closes: a half-open connection. */
  freeze(): void
  /** New connections pass; those frozen stay frozen. */
  thaw(): void
  /** Takes the server's next answer and closes the connection instead of passing it on; for good: nobody listens here then. */
  cutNextAnswer(how?: 'for good'): void
  close(): Promise<void>
}

export interface ProxyOptions {
  /** As a pooler does: it names a process id of its own, and in transaction mode drops notifications outside of a query. */
  readonly pooler?: 'transaction' | 'session'
}

/** Forwards TCP connections to a Postgres server on this machine. */
export async function proxyTo(port: number, { pooler }: ProxyOptions = {}): Promise<TestProxy> {
  const sockets = new Set<Socket>()
  let frozen = false
  let accepted = 0
  let roundTrips = 0
  let cut: 'once' | 'for good' | undefined
  const server: Server = createServer((client) => {
    accepted += 1
    const upstream = netConnect({ port, host: '127.0.0.1' })
    let stuck = false
    let clientSpoke = false
    let inQuery = true
    const reader = pooler ? messages() : undefined
    const stopped = () => {
      stuck ||= frozen
      return stuck
    }
    client.on('data', (data) => {
      if (stopped()) return
      if (!clientSpoke) roundTrips += 1
      clientSpoke = true
      inQuery = true
      upstream.write(data)
    })
    upstream.on('data', (data) => {
      if (stopped()) return
      if (cut) {
        if (cut === 'for good') server.close()
        cut = undefined
        client.destroy()
        return
      }
      clientSpoke = false
      if (!reader) return void client.write(data)
      for (const message of reader(data)) {
        const type = String.fromCharCode(message[0] ?? 0)
        if (type === 'A' && !inQuery && pooler === 'transaction') continue
        if (type === 'K') message.writeUInt32BE(message.readUInt32BE(5) ^ 0x40000000, 5)
        if (type === 'Z') inQuery = false
        client.write(message)
      }
    })
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {})
      from.on('close', () => {
        if (!stopped()) to.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    get accepted() {
      return accepted
    },
    get roundTrips() {
      return roundTrips
    },
    freeze() {
      frozen = true
      // also those that are silent now
      for (const socket of sockets) socket.pause()
    },
    thaw() {
      frozen = false
    },
    cutNextAnswer(how) {
      cut = how ?? 'once'
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

/** Cuts the server's bytes into whole messages. */
function messages(): (data: Buffer) => Buffer[] {
  let rest = Buffer.alloc(0)
  return (data) => {
    rest = Buffer.concat([rest, data])
    const whole: Buffer[] = []
    while (rest.length >= 5) {
      const end = 1 + rest.readUInt32BE(1)
      if (rest.length < end) break
      whole.push(Buffer.from(rest.subarray(0, end)))
      rest = rest.subarray(end)
    }
    return whole
  }
}
