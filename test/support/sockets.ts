import WebSocket from 'ws'

export type Said = Record<string, unknown> & {
  readonly event?: string
  readonly cursor?: string
  readonly data?: Record<string, unknown>
  readonly rid?: string | number
  readonly ok?: boolean
  readonly d?: Record<string, unknown>
  readonly err?: { readonly code: string; readonly ctx?: Record<string, unknown> }
}

/** A socket under test. */
export interface TestSocket {
  readonly socket: WebSocket
  /** Everything that it was told, in order. */
  readonly said: readonly Said[]
  send(message: object | string): void
  /** Sends under a rid of its own and resolves with the envelope. */
  ask(message: object): Promise<Said>
  /** Resolves with the first that fits, also one that has come already. */
  until(fits: (said: Said) => boolean): Promise<Said>
  closed: Promise<{ readonly code: number; readonly reason: string }>
  close(): void
}

/** Opens a socket; rejects with the status when it is refused. */
export function openSocket(url: string, headers: Readonly<Record<string, string>> = {}): Promise<TestSocket> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers, perMessageDeflate: false })
  const said: Said[] = []
  let waiting: { fits: (one: Said) => boolean; resolve: (one: Said) => void }[] = []
  let rids = 0
  socket.on('message', (data) => {
    for (const line of String(data).split('\n')) {
      const one: Said = JSON.parse(line)
      said.push(one)
      for (const waiter of waiting) if (waiter.fits(one)) waiter.resolve(one)
      waiting = waiting.filter(({ fits }) => !fits(one))
    }
  })
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.once('close', (code, reason) => resolve({ code, reason: String(reason) })),
  )
  const until = (fits: (one: Said) => boolean) =>
    new Promise<Said>((resolve) => {
      const found = said.find(fits)
      if (found) resolve(found)
      else waiting.push({ fits, resolve })
    })
  const send = (message: object | string) =>
    socket.send(typeof message === 'string' ? message : JSON.stringify(message))
  const test: TestSocket = {
    socket,
    said,
    send,
    until,
    closed,
    ask(message) {
      const rid = `t${++rids}`
      send({ ...message, rid })
      return until((one) => one.rid === rid)
    },
    close: () => socket.close(),
  }
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve(test))
    socket.once('unexpected-response', (_request, response) => reject(new Error(String(response.statusCode))))
    socket.once('error', reject)
  })
}
