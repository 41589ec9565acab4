import { connect } from 'node:net'
import { errnoOf } from './failure.ts'

/**
 * What a server says when asked. `ready`: it accepts connections. `busy`: it is starting, recovering or stopping.
 * `away`: nobody listens. `forbidden`: the socket is there and not for us.
 */
export type Answer =
  | { readonly state: 'ready'; readonly rows: readonly (readonly (string | null)[])[] }
  | { readonly state: 'busy' | 'away' | 'forbidden' | 'failed'; readonly message: string }

export interface Question {
  readonly socket: string
  readonly user: string
  readonly database: string
  /** Without one, being let in is the answer. */
  readonly sql?: string
  readonly timeoutMs: number
}

const PROTOCOL_3 = 196_608

/**
 * Speaks just enough of the Postgres protocol to log in where no password is asked for and to run one statement. This is
 * what the keeper and the start need, in a process that should stay small and start fast.
 */
export function ask(question: Question): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = connect(question.socket)
    const rows: (string | null)[][] = []
    let pending = Buffer.alloc(0)
    let asked = false

    const finish = (answer: Answer) => {
      clearTimeout(timer)
      resolve(answer)
      if (socket.writable) socket.end(message('X', Buffer.alloc(0)), () => socket.destroy())
      else socket.destroy()
    }
    const timer = setTimeout(() => {
      resolve({ state: 'busy', message: `no answer within ${question.timeoutMs} ms` })
      socket.destroy()
    }, question.timeoutMs)

    const onMessage = (type: string, body: Buffer) => {
      if (type === 'E') finish(refusal(body))
      else if (type === 'R' && body.readInt32BE(0) !== 0) {
        finish({ state: 'forbidden', message: 'a password is asked for' })
      } else if (type === 'D') rows.push(columns(body))
      else if (type === 'Z' && !asked && question.sql !== undefined) {
        asked = true
        socket.write(message('Q', text(question.sql)))
      } else if (type === 'Z') finish({ state: 'ready', rows })
    }

    socket.on('connect', () => socket.write(startup(question)))
    socket.on('data', (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk])
      while (pending.length >= 5) {
        const end = 1 + pending.readInt32BE(1)
        if (pending.length < end) return
        onMessage(String.fromCharCode(pending[0] ?? 0), pending.subarray(5, end))
        pending = pending.subarray(end)
      }
    })
    socket.on('error', (error) => {
      const code = errnoOf(error)
      const forbidden = code === 'EACCES' || code === 'EPERM'
      // a full backlog is EAGAIN: somebody listens and has no time yet
      finish({ state: forbidden ? 'forbidden' : code === 'EAGAIN' ? 'busy' : 'away', message: error.message })
    })
    socket.on('close', () => finish({ state: 'away', message: 'the connection was closed' }))
  })
}

function startup({ user, database }: Question): Buffer {
  const pairs = ['user', user, 'database', database, 'application_name', 'swarm']
  const body = Buffer.concat([...pairs.map(text), Buffer.from([0])])
  const head = Buffer.alloc(8)
  head.writeInt32BE(body.length + 8, 0)
  head.writeInt32BE(PROTOCOL_3, 4)
  return Buffer.concat([head, body])
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type, 0, 'latin1')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`, 'utf8')
}

/** Columns of a DataRow: a length, or -1 for null, then that many bytes of text. */
function columns(body: Buffer): (string | null)[] {
  const values: (string | null)[] = []
  let at = 2
  for (let left = body.readInt16BE(0); left > 0; left--) {
    const length = body.readInt32BE(at)
    at += 4
    values.push(length < 0 ? null : body.toString('utf8', at, at + length))
    at += Math.max(0, length)
  }
  return values
}

function refusal(body: Buffer): Answer {
  const fields = new Map(
    body
      .toString('utf8')
      .split('\0')
      .map((field) => [field.slice(0, 1), field.slice(1)]),
  )
  const code = fields.get('C') ?? ''
  const detail = `${fields.get('M') ?? 'refused'} (${code})`
  if (code === '57P03' || code === '57P01') return { state: 'busy', message: detail }
  // all connections taken: it runs
  if (code === '53300') return { state: 'ready', rows: [] }
  return { state: code.startsWith('28') ? 'forbidden' : 'failed', message: detail }
}
