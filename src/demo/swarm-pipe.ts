import { isJsonObject, type JsonObject } from '../contract/json.ts'
import { readLines } from '../ndjson.ts'
import { type Environment, type Peer, spawnPeer } from '../process/index.ts'

/** The answer to one request: an envelope, read back from its line. */
export interface Answer {
  readonly ok: boolean
  readonly d: JsonObject
  readonly err: { readonly code: string; readonly msg: string }
}

/** One `swarm` process that is talked to in JSON lines, as any agent would. */
export interface SwarmPipe {
  readonly peer: Peer
  /** Sends a request under a `rid` of its own; rejects when the process has gone. */
  ask(request: JsonObject): Promise<Answer>
  /** The same, and throws when the request failed. */
  get(request: JsonObject): Promise<JsonObject>
  /** Ends its input and waits for it to leave. */
  close(): Promise<void>
}

export interface SwarmPipeOptions {
  /** How `swarm` is started. */
  readonly swarm: readonly string[]
  readonly cwd: string
  readonly env?: Environment
  readonly group?: 'own' | 'parent'
}

const LEAVE_MS = 3_000

/** Starts a `swarm` process and opens the conversation. */
export async function openSwarm(options: SwarmPipeOptions): Promise<SwarmPipe> {
  const { swarm, ...rest } = options
  const peer = await spawnPeer({ argv: swarm, ...rest })
  const open = new Map<string, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>()
  let rids = 0
  let gone: Error | undefined

  const listen = async () => {
    for await (const { value } of readLines(peer.stdout)) {
      if (!isJsonObject(value)) continue
      const rid = String(value.rid)
      open.get(rid)?.resolve(toAnswer(value))
      open.delete(rid)
    }
  }
  const fail = (error: Error) => {
    gone = error
    for (const { reject } of open.values()) reject(error)
    open.clear()
  }
  listen().then(
    () => fail(new Error('the swarm process has gone')),
    (error: unknown) => fail(error instanceof Error ? error : new Error(String(error))),
  )

  const ask = (request: JsonObject): Promise<Answer> => {
    if (gone) return Promise.reject(gone)
    const rid = `d${++rids}`
    return new Promise((resolve, reject) => {
      open.set(rid, { resolve, reject })
      peer.stdin.write(`${JSON.stringify({ ...request, rid })}\n`)
    })
  }
  return {
    peer,
    ask,
    async get(request) {
      const { ok, d, err } = await ask(request)
      if (!ok) throw new Error(`${request.cmd}: ${err.code}: ${err.msg}`)
      return d
    },
    async close() {
      await peer.end(LEAVE_MS)
    },
  }
}

function toAnswer(envelope: JsonObject): Answer {
  const { ok, d, err } = envelope
  const failure = isJsonObject(err) ? err : {}
  return {
    ok: ok === true,
    d: isJsonObject(d) ? d : {},
    err: { code: String(failure.code ?? 'INTERNAL'), msg: String(failure.msg ?? 'no answer') },
  }
}
