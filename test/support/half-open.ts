import { createServer, connect as netConnect, type Socket } from 'node:net'

/** A way to a server on which connections can be made to die silently. */
export interface HalfOpenProxy {
  readonly port: number
  /** Connections that pass now. */
  readonly open: number
  /**
   * From now on nothing passes on the connections that are open, in either direction, and neither side is told. New ones pass. Those
   * frozen by an earlier call are closed, so that they do not pile up.
   */
  freeze(): void
  /** Closes those that are frozen: both sides are told at last. */
  release(): void
  close(): Promise<void>
}

interface Pair {
  readonly client: Socket
  readonly upstream: Socket
}

/** Forwards TCP connections to a port of this machine. */
export async function halfOpenProxy(port: number): Promise<HalfOpenProxy> {
  const passing = new Set<Pair>()
  let frozen: Pair[] = []

  const server = createServer((client) => {
    const upstream = netConnect({ port, host: '127.0.0.1', noDelay: true })
    client.setNoDelay(true)
    const pair: Pair = { client, upstream }
    passing.add(pair)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('error', () => {})
      from.on('data', (data) => {
        if (!passing.has(pair)) return
        if (!to.write(data)) from.pause()
      })
      to.on('drain', () => {
        if (passing.has(pair)) from.resume()
      })
      from.on('close', () => {
        if (!passing.delete(pair)) return
        // what was written is still sent
        to.end(() => to.destroy())
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()

  const destroy = (pairs: Iterable<Pair>) => {
    for (const { client, upstream } of pairs) {
      client.destroy()
      upstream.destroy()
    }
  }
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    get open() {
      return passing.size
    },
    freeze() {
      destroy(frozen)
      frozen = [...passing]
      passing.clear()
      for (const { client, upstream } of frozen) {
        client.pause()
        upstream.pause()
      }
    },
    release() {
      destroy(frozen)
      frozen = []
    },
    async close() {
      destroy(frozen)
      destroy(passing)
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
