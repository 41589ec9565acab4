import { Server, type ServerContext } from '@modelcontextprotocol/server'
import type { JsonObject } from '../../contract/json.ts'
import { VERSION } from '../version.ts'
import { readResource, resources, resourceTemplates } from './resources.ts'
import type { McpSession } from './session.ts'
import { listTools } from './tools.ts'

/** While a call runs, its client hears that it does so often, if it asked to: it then waits on. */
const PROGRESS_MS = 10_000

/**
 * A server of the Model Context Protocol over one session, for one connection (stdio) or one request (streamable HTTP). It is the low-level
 * one: the other checks arguments first and answers in words of its own, where ours say what would work.
 */
export function createMcpServer(session: McpSession, instructions: string): Server {
  const server = new Server(
    { name: 'swarm', version: VERSION },
    { capabilities: { tools: {}, resources: {} }, instructions },
  )
  const known = new Set(session.agentId === undefined ? [] : ['agent_id', 'agent'])
  server.setRequestHandler('tools/list', async () => ({ tools: await listTools(session.catalog, known) }))
  server.setRequestHandler('tools/call', async ({ params }, ctx) => {
    const stop = reportProgress(ctx)
    try {
      // safe: arguments have been parsed from JSON
      const args = (params.arguments ?? {}) as JsonObject
      return await session.call(params.name, args, ctx.mcpReq.signal)
    } finally {
      stop()
    }
  })
  server.setRequestHandler('resources/list', async () => resources)
  server.setRequestHandler('resources/templates/list', async () => resourceTemplates)
  server.setRequestHandler('resources/read', ({ params }) => readResource(session, params.uri))
  return server
}

/** Tells the client of a call every ten seconds that it is still at work, where it gave a token for that. */
function reportProgress({ mcpReq }: ServerContext): () => void {
  const progressToken = mcpReq._meta?.progressToken
  if (progressToken === undefined) return () => {}
  const started = performance.now()
  const timer = setInterval(() => {
    const seconds = Math.round((performance.now() - started) / 1_000)
    mcpReq
      .notify({
        method: 'notifications/progress',
        params: { progressToken, progress: seconds, message: `waiting for ${seconds} s` },
      })
      // a client that has gone hears nothing
      .catch(() => {})
  }, PROGRESS_MS)
  return () => clearInterval(timer)
}
