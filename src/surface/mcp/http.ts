import { randomUUID } from 'node:crypto'
import { createMcpHandler, type McpHttpHandler } from '@modelcontextprotocol/server'
import type { Catalog } from '../../contract/command.ts'
import { isJsonObject, type Json } from '../../contract/json.ts'
import { getLogger } from '../../logger.ts'
import type { Dispatcher } from '../../runtime/dispatch.ts'
import { createMcpServer } from './server.ts'
import { createMcpSession, instructionsOf, type McpSession } from './session.ts'

/** The Model Context Protocol over HTTP: each request stands alone, and what its client has is kept by its holder and agent. */
export interface McpEndpoint {
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
const OPENING = new Set(['initialize', 'server/discover'])

/** What is known of the clients of one holder that speak for one agent. */
interface Known {
  readonly session: McpSession
  readonly handler: McpHttpHandler
  instructions: string
}

/** Makes the endpoint. What is kept of a holder goes with its dispatcher. */
export function createMcpEndpoint(catalog: Catalog): McpEndpoint {
  const holders = new WeakMap<Dispatcher, Map<number | undefined, Known>>()
  const onFault = (err: unknown) => getLogger().error({ err }, 'a fault while answering a request')

  const make = (dispatcher: Dispatcher, agentId: number | undefined): Known => {
    const session = createMcpSession({ catalog, dispatcher, agentId, ownRids: randomUUID, onFault })
    const known: Known = {
      session,
      instructions: '',
      handler: createMcpHandler(() => createMcpServer(session, known.instructions), {
        onerror: (err) => getLogger().debug({ err }, 'a message that cannot be used'),
      }),
    }
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
    async answer(dispatcher, agentId, request, body) {
      const known = knownOf(dispatcher, agentId)
      if (opens(body)) known.instructions = await instructionsOf(known.session)
      return known.handler.fetch(request, body === undefined ? {} : { parsedBody: body })
    },
  }
}

function opens(body: Json | undefined): boolean {
  const messages = Array.isArray(body) ? body : [body]
  return messages.some(
    (one) => isJsonObject(one) && typeof one.method === 'string' && OPENING.has(one.method),
  )
}
