import type { CallToolResult } from '@modelcontextprotocol/server'
import type { Catalog } from '../../contract/command.ts'
import type { Reply } from '../../contract/envelope.ts'
import { isJsonObject, type Json, type JsonObject } from '../../contract/json.ts'
import type { Dispatcher, Prepared } from '../../runtime/dispatch.ts'
import { faultIn } from '../../wire/encode.ts'
import { guard } from '../../wire/guard.ts'
import { inspect } from '../../wire/inspect.ts'
import { toResult } from './answer.ts'
import { createAttention } from './attention.ts'
import { requestOf } from './tools.ts'

/** A wait is answered after so long, in ms, whatever it asked for: clients give up on a call that takes longer. */
export const MAX_WAIT_MS = 100_000

/** What a stream may send ahead of its reply, in characters; then it ends, with the cursor to go on from. */
const MAX_AHEAD = 262_144

/** Verbs that wait for what may never come: they end after MAX_WAIT_MS. */
const ENDLESS = ['subscribe', 'monitor']

export interface McpSessionOptions {
  readonly catalog: Catalog
  /** Runs the requests. It speaks for one holder, and renews the claims that are made here. */
  readonly dispatcher: Dispatcher
  /** The agent that this client is, where that is known: then calls need not say it. */
  readonly agentId?: number | undefined
  /** Names requests that wait, where several clients share the dispatcher: they may choose the same `rid`. */
  readonly ownRids?: () => string
  /** Hears of what should not happen. */
  readonly onFault?: (fault: unknown) => void
}

/** What one client has, over all its connections and requests. */
export interface McpSession {
  readonly catalog: Catalog
  readonly agentId: number | undefined
  /** Runs a tool; never throws. When `signal` aborts, nobody reads the answer. */
  call(tool: string, args: JsonObject, signal: AbortSignal): Promise<CallToolResult>
  /** The `d` of a request of swarm's own; undefined when it is refused. */
  ask(request: JsonObject): Promise<Json | undefined>
  /** The loop in words, for the model at the other end; empty when it cannot be had now. */
  instructions(): Promise<string>
  /** Hands on what happens until `signal` aborts. `again`: it could not be read just now; `over`: it may not be, or the process ends. */
  follow(take: (lines: readonly Json[]) => void, signal: AbortSignal): Promise<'over' | 'again'>
}

/** Makes what the servers of one client share. */
export function createMcpSession(options: McpSessionOptions): McpSession {
  const { catalog, agentId, ownRids, onFault } = options
  const client = agentId === undefined ? {} : { agent_id: agentId }
  const dispatcher = guard(
    { ...options.dispatcher, accept: (raw) => options.dispatcher.accept(raw, client) },
    onFault,
  )

  const refused = (error: Parameters<Dispatcher['refuse']>[0]): Reply => dispatcher.refuse(error)

  /** Runs a parsed request; what it sends ahead is gathered. */
  const run = async (request: Prepared, signal: AbortSignal) => {
    const end = new AbortController()
    const lines: Json[] = []
    let size = 0
    const timer = ENDLESS.includes(request.command.name)
      ? setTimeout(() => end.abort(), MAX_WAIT_MS)
      : undefined
    try {
      const reply = await dispatcher.run(
        request,
        async (ahead) => {
          for (const one of ahead) {
            if (!one.ok) continue
            lines.push(one.d)
            size += JSON.stringify(one.d).length
          }
          if (size > MAX_AHEAD) end.abort()
        },
        AbortSignal.any([signal, end.signal]),
      )
      return { reply, lines }
    } finally {
      clearTimeout(timer)
    }
  }

  /** The request, when it can be run. */
  const accept = async (raw: JsonObject): Promise<Prepared | Reply> => {
    const flaw = inspect(raw)
    if (flaw) return refused(flaw)
    const accepted = await dispatcher.accept(bounded(raw))
    return ownRids && !('ok' in accepted) && accepted.waits ? { ...accepted, rid: ownRids() } : accepted
  }

  const ask = async (raw: JsonObject): Promise<Json | undefined> => {
    const accepted = await accept(raw)
    if ('ok' in accepted) return undefined
    const reply = await dispatcher.run(accepted, async () => {})
    return reply.ok ? reply.d : undefined
  }
  const attention = createAttention(agentId, ask)

  const answer = async (raw: JsonObject, signal: AbortSignal): Promise<CallToolResult> => {
    const accepted = await accept(raw)
    const request = 'ok' in accepted ? undefined : accepted
    if (request) await attention.before(request)
    const { reply, lines } = 'ok' in accepted ? { reply: accepted, lines: [] } : await run(accepted, signal)
    // what is told counts as read, and nobody reads this any more
    if (signal.aborted) return toResult(catalog, reply, lines)
    const { reply: rest, told } = await attention.after(request, reply)
    return toResult(catalog, rest, lines, told)
  }

  return {
    catalog,
    agentId,
    ask,
    async instructions() {
      const d = await ask({ cmd: 'prompt', ...client })
      return isJsonObject(d) && typeof d.prompt === 'string' ? d.prompt : ''
    },
    async follow(take, signal) {
      const accepted = await accept({ cmd: 'subscribe', kinds: ['event'] })
      const reply =
        'ok' in accepted
          ? accepted
          : await dispatcher.run(
              accepted,
              async (lines) => take(lines.flatMap((one) => (one.ok ? [one.d] : []))),
              signal,
            )
      return reply.ok || reply.error.code === 'UNAUTHORIZED' ? 'over' : 'again'
    },
    async call(tool, args, signal) {
      try {
        return await answer(requestOf(tool, args), signal)
      } catch (fault) {
        onFault?.(fault)
        return toResult(catalog, refused(faultIn('the answer')))
      }
    },
  }
}

/** A longer wait is a shorter one here: its answer says that nothing has come yet, and the client asks again. */
function bounded(raw: JsonObject): JsonObject {
  const { wait_ms } = raw
  return typeof wait_ms === 'number' && wait_ms > MAX_WAIT_MS && wait_ms <= 600_000
    ? { ...raw, wait_ms: MAX_WAIT_MS }
    : raw
}
