import { ProtocolError, ProtocolErrorCode, Server, type ServerContext } from '@modelcontextprotocol/server'
import type { JsonObject } from '../../contract/json.ts'
import { VERSION } from '../../contract/version.ts'
import type { Change, Changes } from './changes.ts'
import { checkUri, listResources, readResource, resourceTemplates } from './resources.ts'
import type { McpSession } from './session.ts'
import { listTools } from './tools.ts'

/** While a call runs, its client hears that it does so often, if it asked to: it then waits on. */
const PROGRESS_MS = 10_000
/** URIs that one connection may subscribe to. */
const MOST_SUBSCRIBED = 1_000

/** The loop as a prompt: clients show it to people as something to start with. */
const WORK = { name: 'work', description: "work through the swarm's backlog as an agent" }

/**
 * How a client hears of changes. `subscribe`: by `resources/subscribe`, over a connection that stays open (2025-11-25 and before). `listen`: by
 * `subscriptions/listen`, which the library serves (2026-07-28).
 */
export type Hearing = { readonly by: 'subscribe'; readonly changes: Changes } | { readonly by: 'listen' }

/**
 * A server of the Model Context Protocol over one session, for one connection (stdio) or one request (streamable HTTP). It is the low-level
 * one: the other checks arguments first and answers in words of its own, where ours say what would work.
 */
export function createMcpServer(session: McpSession, instructions: string, hearing?: Hearing): Server {
  const resources = {
    ...(hearing ? { subscribe: true } : {}),
    ...(hearing?.by === 'listen' ? { listChanged: true } : {}),
  }
  const server = new Server(
    { name: 'swarm', version: VERSION },
    { capabilities: { tools: {}, resources, prompts: {} }, instructions },
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
  server.setRequestHandler('resources/list', () => listResources(session))
  server.setRequestHandler('resources/templates/list', async () => resourceTemplates)
  server.setRequestHandler('resources/read', ({ params }) => readResource(session, params.uri))
  server.setRequestHandler('prompts/list', async () => ({ prompts: [WORK] }))
  server.setRequestHandler('prompts/get', async ({ params }) => {
    if (params.name !== WORK.name)
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `the only prompt is ${WORK.name}`)
    const text = await session.instructions()
    return { description: WORK.description, messages: [{ role: 'user', content: { type: 'text', text } }] }
  })
  if (hearing?.by === 'subscribe') subscribing(server, hearing.changes)
  return server
}

/** Serves `resources/subscribe` until the connection ends. */
function subscribing(server: Server, changes: Changes): void {
  const uris = new Set<string>()
  let stop: (() => void) | undefined
  server.setRequestHandler('resources/subscribe', async ({ params }) => {
    checkUri(params.uri)
    if (uris.size >= MOST_SUBSCRIBED)
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `at most ${MOST_SUBSCRIBED} URIs`)
    uris.add(params.uri)
    stop ??= changes.listen((change) => {
      if ('uri' in change && uris.has(change.uri)) tell(server, change)
    })
    await changes.ready()
    return {}
  })
  server.setRequestHandler('resources/unsubscribe', async ({ params }) => {
    uris.delete(params.uri)
    if (uris.size > 0) return {}
    stop?.()
    stop = undefined
    return {}
  })
  server.onclose = () => stop?.()
}

/** Sends a change to the client of a connection; one that has gone hears nothing. */
export function tell(server: Server, change: Change): void {
  const sent =
    'uri' in change ? server.sendResourceUpdated({ uri: change.uri }) : server.sendResourceListChanged()
  sent.catch(() => {})
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
