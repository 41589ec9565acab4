import { randomUUID } from 'node:crypto'
import {
  type CreateMcpHandlerOptions,
  createMcpHandler,
  type McpHttpHandler,
} from '@modelcontextprotocol/server'
import type { Catalog } from '../../contract/command.ts'
import { isJsonObject, type Json } from '../../contract/json.ts'
import { getLogger } from '../../logger.ts'
import type { Dispatcher } from '../../runtime/dispatch.ts'
import { type Changes, createChanges } from './changes.ts'
import { createMcpServer } from './server.ts'
import { createMcpSession, type McpSession } from './session.ts'

/** The Model Context Protocol over HTTP: each request stands alone, and what its client has is kept by its holder and agent. */
export interface McpEndpoint {
  /** Whether a body asks for a subscription, whose answer ends with it. */
  asksToListen(body: Json | undefined): boolean
  /** Answers a request whose body has been read. `agentId` is the agent that the client is, where that is known. */
  answer(
    dispatcher: Dispatcher,
    agentId: number | undefined,
    request: Request,
    body: Json | undefined,
  ): Promise<Response>
}

/** Agents of one holder that are remembered; a client may name any number. */
const MAX_AGENTS = 256
/** Requests that have the instructions in their answer. */
const OPENING = ['initialize', 'server/discover']
const LISTEN = ['subscriptions/listen']

/** What is known of the clients of one holder that speak for one agent. */
interface Known {
  readonly session: McpSession
  readonly handler: McpHttpHandler
  /** Has the subscriptions alone: they can be ended, and leave what runs beside them. */
  readonly listening: McpHttpHandler
  readonly changes: Changes
  instructions: string
}

/** Makes the endpoint. What is kept of a holder goes with its dispatcher. */
export function createMcpEndpoint(catalog: Catalog): McpEndpoint {
  const holders = new WeakMap<Dispatcher, Map<number | undefined, Known>>()
  const onFault = (err: unknown) => getLogger().error({ err }, 'a fault while answering a request')

  const make = (dispatcher: Dispatcher, agentId: number | undefined): Known => {
    const session = createMcpSession({ catalog, dispatcher, agentId, ownRids: randomUUID, onFault })
    const changes = createChanges(session.follow, () => void listening.close())
    const handlerOf = (more: CreateMcpHandlerOptions = {}) =>
      createMcpHandler(
        ({ era }) =>
          createMcpServer(session, known.instructions, era === 'modern' ? { by: 'listen' } : undefined),
        { onerror: (err) => getLogger().debug({ err }, 'a message that cannot be used'), ...more },
      )
    const listening = handlerOf({ bus: { publish() {}, subscribe: changes.listen } })
    const known: Known = { session, changes, instructions: '', handler: handlerOf(), listening }
    return known
  }

  const knownOf = (dispatcher: Dispatcher, agentId: number | undefined): Known => {
    const agents = holders.get(dispatcher) ?? new Map<number | undefined, Known>()
    holders.set(dispatcher, agents)
    const known = agents.get(agentId) ?? make(dispatcher, agentId)
    agents.delete(agentId)
    agents.set(agentId, known)
    if (agents.size > MAX_AGENTS) agents.delete([...agents.keys()][0])
    return known
  }

  return {
    asksToListen: (body) => asksFor(body, LISTEN),
    async answer(dispatcher, agentId, request, body) {
      const known = knownOf(dispatcher, agentId)
      if (asksFor(body, OPENING)) known.instructions = await known.session.instructions()
      const options = body === undefined ? {} : { parsedBody: body }
      if (!asksFor(body, LISTEN)) return known.handler.fetch(request, options)
      // what changes once the subscription is acknowledged is told
      const release = known.changes.listen(() => {})
      try {
        await known.changes.ready()
        return await known.listening.fetch(request, options)
      } finally {
        release()
      }
    },
  }
}

function asksFor(body: Json | undefined, methods: readonly string[]): boolean {
  const messages = Array.isArray(body) ? body : [body]
  return messages.some(
    (one) => isJsonObject(one) && typeof one.method === 'string' && methods.includes(one.method),
  )
}
