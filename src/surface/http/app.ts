import { readFileSync } from 'node:fs'
import { upgradeWebSocket } from '@hono/node-server'
import { Hono } from 'hono'
import { routePath } from 'hono/route'
import type { WebSocket } from 'ws'
import { SwarmError } from '../../contract/errors.ts'
import { getLogger } from '../../logger.ts'
import { MAX_LINE_BYTES } from '../../wire/lines.ts'
import { answerError, answerJson, answerText } from './answer.ts'
import type { AppParts } from './app-parts.ts'
import { type Ctx, type Env, headerOf } from './asked.ts'
import { login, logout, whoami } from './login.ts'
import { answerMcp } from './mcp.ts'
import { Refused } from './refused.ts'
import { answerRest } from './rest.ts'
import { ROUTES } from './routes.ts'
import { answerRpc } from './rpc.ts'
import { checkOrigin } from './site.ts'
import { serveSocket } from './stream/socket.ts'
import { answerStream } from './stream/sse.ts'
import { answerTicketEvent } from './ticket-event.ts'
import { cookieName, tokenOf } from './token.ts'

const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8' }

const HEADERS = {
  'content-security-policy': CSP,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
}

/** Where nothing is answered without a token, once others than this machine reach the server. */
const GUARDED = /^\/(?:api|internal|metrics|mcp|ws)\b/

/** The routes of the server. What each means is its verb's. */
export function createApp(parts: AppParts): Hono<Env> {
  const app = new Hono<Env>()

  app.use('*', async (c, next) => {
    const { incoming, outgoing } = c.env
    // an upgrade has no answer of its own yet
    if (outgoing) for (const [name, value] of Object.entries(HEADERS)) outgoing.setHeader(name, value)
    const header = headerOf(incoming)
    const { secure, address } = checkOrigin(
      parts.site,
      { method: c.req.method, peer: incoming.socket.remoteAddress, header },
      c.req.method === 'GET' && !c.req.path.startsWith('/api/') && header('sec-fetch-mode') === 'navigate',
    )
    const token = tokenOf(header, cookieName(parts.port()))
    if (token !== undefined && !parts.callers.knows(token)) {
      if (!parts.strangers.take(address)) throw tooFast()
      await parts.callers.meet(token)
    }
    if (!parts.rate.take(token ?? `@${address}`)) throw tooFast()
    if (token === undefined && !parts.site.local && GUARDED.test(c.req.path)) throw noToken()
    c.set('asked', { token, catalog: parts.catalog, dispatcher: parts.callers.of(token), secure })
    await next()
    parts.metrics.count(c.req.method, routeOf(c), c.res.status)
  })

  app.get('/healthz', (c) => answerJson(c, 200, { ok: true }))
  app.get('/readyz', async (c) => {
    const problem = await parts.ready()
    return problem ? answerError(c, problem) : answerJson(c, 200, { ok: true })
  })
  app.post('/login', (c) => login(c, parts))
  app.post('/logout', (c) => logout(c, parts))
  app.get('/api/whoami', (c) => whoami(c, parts))
  app.post('/internal/ticket-event', (c) => answerTicketEvent(c, parts.maxBodyBytes))
  app.get('/metrics', (c) => parts.metrics.answer(c))
  app.get('/api/openapi.json', (c) => answerText(c, 200, readFileSync(parts.openApi, 'utf8'), JSON_HEADERS))
  app.get('/api/stream', (c) => answerStream(c, parts.streams))
  app.get('/ws', async (c, next) => {
    if (c.req.header('upgrade')?.toLowerCase() !== 'websocket') throw needsUpgrade()
    const { token } = c.get('asked')
    const place = await parts.streams.enter(c.get('asked'), 'socket')
    const upgrade = upgradeWebSocket(() => ({
      onOpen: (_event, { raw }) => {
        // safe: the server makes sockets of this class only
        serveSocket(raw as WebSocket, {
          token,
          streams: parts.streams,
          open: () => parts.callers.own(token),
          onEnd: place.leave,
          maxLineBytes: MAX_LINE_BYTES,
        })
      },
    }))
    // a client that goes away before it is one
    c.env.incoming.socket.once('close', place.leave)
    return upgrade(c, next)
  })
  app.all('/mcp', async (c) => answerMcp(c, await parts.mcp(), parts.streams, parts.maxBodyBytes))
  app.post('/api/rpc', (c) => answerRpc(c, parts.callers, parts.maxBodyBytes))
  for (const route of ROUTES)
    app.on(route.method, route.path, (c) => answerRest(c, route, parts.maxBodyBytes))

  app.notFound((c) => {
    const page = parts.pages.answer(c)
    if (page) return page
    const { method, path } = c.req
    return answerError(
      c,
      new SwarmError('NOTFOUND', `there is no ${method} ${path.slice(0, 200)}`, {
        ctx: { field: 'path', got: path.slice(0, 200) },
      }),
    )
  })
  app.onError((error, c) => refuse(c, error))
  return app
}

/** The pattern of the route, not its path: there are only so many. */
function routeOf(c: Ctx): string {
  const path = routePath(c, -1)
  return path === '*' || path === '/*' ? 'none' : path
}

function refuse(c: Ctx, error: unknown): Response {
  if (error instanceof Refused) return answerError(c, error.error, error.status)
  if (error instanceof SwarmError) return answerError(c, error)
  getLogger().error({ err: error }, 'a fault while answering a request')
  return answerError(c, new SwarmError('INTERNAL', 'a fault in swarm: the log on stderr says why'))
}

function noToken(): Refused {
  return new Refused(
    401,
    new SwarmError('UNAUTHORIZED', 'this server asks for a token', {
      ctx: { field: 'token', expected: 'Authorization: Bearer, or a login' },
    }),
  )
}

function needsUpgrade(): Refused {
  return new Refused(
    426,
    new SwarmError('INVALID', 'this is a WebSocket: ask for an upgrade', {
      ctx: { field: 'Upgrade', expected: 'websocket' },
    }),
  )
}

function tooFast(): Refused {
  return new Refused(
    429,
    new SwarmError('BUSY', 'too many requests of this token or address; send it again in a second', {}),
  )
}
