import type { Server as HttpServer } from 'node:http'
import type { Server as NetServer } from 'node:net'
import { join } from 'node:path'
import { createAdaptorServer, type WebSocketServerLike } from '@hono/node-server'
import { WebSocketServer } from 'ws'
import type { CommandContext, Served, ServeOptions } from '../../contract/command.ts'
import { SwarmError } from '../../contract/errors.ts'
import { MAX_LINE_BYTES } from '../../wire/lines.ts'
import { proxiesAt } from './address.ts'
import { createApp } from './app.ts'
import { createCallers } from './callers.ts'
import { keepClients } from './clients.ts'
import { discreet } from './discreet.ts'
import { createMetrics } from './metrics.ts'
import { loadPages } from './pages.ts'
import { createRate } from './rate.ts'
import { isLoopbackName, type Site } from './site.ts'
import { createHub } from './stream/hub.ts'
import { createStreams } from './stream/streams.ts'
import { onlyWebSockets } from './upgrades.ts'

const MAX_BODY_BYTES = 4_194_304
const REQUESTS_PER_SECOND = 2_000
const STRANGERS_PER_SECOND = 200
const MOST_CONNECTIONS = 5_000
const MOST_STREAMS = 2_000
const BODY_TIMEOUT_MS = 30_000
const HEADERS_TIMEOUT_MS = 10_000
const CHECKING_MS = 1_000
const KEEP_ALIVE_MS = 5_000
/** How long answers under way may take once the server was told to stop. */
const ENDING_MS = 5_000

/**
 * Serves the verbs over HTTP until `ctx.signal` aborts. Elsewhere than on this machine, and behind a proxy, only where the repo asks for
 * tokens.
 */
export async function serve(
  ctx: CommandContext,
  options: ServeOptions,
  onOpen: (served: Served) => Promise<void>,
): Promise<Served> {
  const settings = ctx.root?.config.http ?? {}
  const proxies = settings.trust_proxy ?? []
  const local = isLoopbackName(options.host) && proxies.length === 0
  const tokens = await asksForTokens(ctx)
  if (!local && !tokens)
    throw needsTokens(isLoopbackName(options.host) ? 'trust_proxy' : 'host', options.host)
  const site: Site = { local, isProxy: proxiesAt(proxies) }
  const callers = createCallers(ctx, !local)
  const streams = createStreams(createHub(ctx), callers, ctx.repo, settings.streams ?? MOST_STREAMS)
  let port = options.port
  let requests = 0
  const app = createApp({
    catalog: ctx.catalog,
    site,
    callers,
    pages: loadPages(join(__dirname, 'dashboard')),
    repo: ctx.repo,
    tokens,
    metrics: createMetrics(ctx.repo, streams.counts),
    streams,
    rate: createRate(settings.requests_per_second ?? REQUESTS_PER_SECOND),
    strangers: createRate(
      Math.min(settings.requests_per_second ?? REQUESTS_PER_SECOND, STRANGERS_PER_SECOND),
    ),
    openApi: join(__dirname, '..', 'protocol', 'openapi.json'),
    port: () => port,
    maxBodyBytes: settings.max_body_bytes ?? MAX_BODY_BYTES,
    mcp: lazily(async () => (await import('../mcp/http.ts')).createMcpEndpoint(ctx.catalog)),
    ready: () => ready(ctx),
  })
  const bodyTimeoutMs = settings.body_timeout_ms ?? BODY_TIMEOUT_MS
  const server = createAdaptorServer({
    fetch(request, env) {
      requests += 1
      return app.fetch(request, env)
    },
    hostname: options.host,
    websocket: { server: sockets() },
    serverOptions: {
      headersTimeout: Math.min(HEADERS_TIMEOUT_MS, bodyTimeoutMs),
      requestTimeout: bodyTimeoutMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECKING_MS,
    },
  })
  onlyWebSockets(server)
  const most = settings.connections ?? MOST_CONNECTIONS
  // safe: without options for HTTP/2 it is a server of HTTP/1.1
  const clients = keepClients(server as HttpServer, {
    most,
    mostOfAddress: settings.connections_per_address ?? Math.ceil(most / 2),
    isProxy: site.isProxy,
    // a request that does not arrive in time is answered before its connection has been silent for so long
    unreadMs: bodyTimeoutMs + 2 * CHECKING_MS,
  })
  const said = (): Served => ({
    url: `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    auth: tokens ? 'tokens' : 'cooperative',
    requests,
  })
  try {
    port = await listen(server, options)
    await onOpen(said())
    await aborted(ctx.signal)
  } finally {
    server.close()
    streams.end()
    callers.shutdown()
    await clients.end(ENDING_MS)
    await streams.close()
    await callers.close()
  }
  return said()
}

function lazily<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make()
    return made
  }
}

async function asksForTokens(ctx: CommandContext): Promise<boolean> {
  if (ctx.root?.config.auth === 'tokens') return true
  const [row] = await ctx.db.read<{ auth: string }>('select auth from swarm.repos where repo_id = $1', [
    ctx.repo,
  ])
  return row?.auth === 'tokens'
}

async function ready(ctx: CommandContext): Promise<SwarmError | undefined> {
  try {
    await ctx.db.read('select log_id from swarm.swarm_config', [], { timeoutMs: 3_000 })
    return undefined
  } catch (error) {
    return error instanceof SwarmError
      ? discreet(error)
      : new SwarmError('DEPENDENCY', 'the database does not answer')
  }
}

function listen(server: NetServer, { host, port }: ServeOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(error, host, port)))
    server.listen({ host, port }, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
}

function cannotListen({ code = 'an error' }: NodeJS.ErrnoException, host: string, port: number): SwarmError {
  if (code === 'EADDRINUSE') {
    return new SwarmError('BUSY', `port ${port} of ${host} is in use`, { ctx: { field: 'port', got: port } })
  }
  const field = code === 'EACCES' ? 'port' : 'host'
  return new SwarmError('INVALID', `${host}:${port} cannot be listened on (${code})`, {
    area: 'configuration',
    ctx: {
      kind: 'InvalidValue',
      field,
      expected: `a ${field} of this machine`,
      got: field === 'port' ? port : host,
    },
  })
}

function needsTokens(field: string, host: string): SwarmError {
  return new SwarmError(
    'INVALID',
    `whoever reaches ${host} could do anything: set auth = "tokens" in .swarm/config.toml, and make a token`,
    {
      area: 'configuration',
      ctx: { kind: 'InvalidValue', field, expected: '127.0.0.1, or tokens', got: host },
    },
  )
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function sockets(): WebSocketServerLike {
  const options = { noServer: true, perMessageDeflate: false, maxPayload: MAX_LINE_BYTES }
  // safe: what it is made for; its own types say the same in other words
  return new WebSocketServer(options) as unknown as WebSocketServerLike
}
