import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import type { Json } from '../../contract/json.ts'
import type { McpEndpoint } from '../mcp/http.ts'
import { answerJson } from './answer.ts'
import { type Ctx, goneSignal } from './asked.ts'
import { readBody } from './body.ts'
import { sent, textOf } from './parts.ts'
import { Refused } from './refused.ts'
import { statusOfError } from './status.ts'
import { MOST_UNREAD_BYTES, type Streams } from './stream/streams.ts'

/** JSON-RPC's code for a body that is no JSON. */
const PARSE_ERROR = -32_700

/**
 * `/mcp`: streamable HTTP of the Model Context Protocol, without sessions. The agent that the client is comes from its token, else from
 * `?agent=N`.
 */
export async function answerMcp(
  c: Ctx,
  endpoint: McpEndpoint,
  streams: Streams,
  maxBytes: number,
): Promise<Response> {
  const { outgoing } = c.env
  const asked = c.get('asked')
  const agentId = await agentOf(c)
  const body = c.req.method === 'POST' ? await bodyOf(c, maxBytes) : undefined
  if (body === 'gone') return sent()
  if (body === 'broken') return answerJson(c, 400, rpcError(PARSE_ERROR, 'the body is not JSON'))
  const request = new Request(`http://${c.req.header('host') ?? 'localhost'}/mcp`, {
    method: c.req.method,
    headers: c.req.raw.headers,
    signal: goneSignal(outgoing),
  })
  const isStream = endpoint.asksToListen(body?.json)
  if (isStream) {
    const place = await streams.enter(asked, 'sse')
    outgoing.once('close', place.leave)
  }
  const response = await endpoint.answer(asked.dispatcher, agentId, request, body?.json)
  outgoing.statusCode = response.status
  response.headers.forEach((value, name) => {
    outgoing.setHeader(name, value)
  })
  if (!response.body) {
    outgoing.end()
    return sent()
  }
  // a client that goes away ends the answer, and by the request's signal the call that makes it
  // safe: the same stream, by the types of Node
  const source = Readable.fromWeb(response.body as unknown as ReadableStream)
  if (isStream) {
    for await (const chunk of source) {
      outgoing.write(chunk)
      // what waits for a reader that never reads would fill the memory
      if (outgoing.writableLength > MOST_UNREAD_BYTES) outgoing.destroy()
    }
    outgoing.end()
    return sent()
  }
  await pipeline(source, outgoing).catch(() => {})
  return sent()
}

async function bodyOf(c: Ctx, maxBytes: number): Promise<{ json: Json } | 'broken' | 'gone'> {
  const bytes = await readBody(c.env.incoming, maxBytes)
  if (!bytes) return 'gone'
  const text = textOf(bytes)
  try {
    return { json: JSON.parse(text) }
  } catch {
    return 'broken'
  }
}

/** The agent that the client is. Refuses a token that is not good, whatever is asked with it. */
async function agentOf(c: Ctx): Promise<number | undefined> {
  const { dispatcher, token } = c.get('asked')
  const answer = await dispatcher.mayRun({ cmd: 'status' })
  if ('refusal' in answer && answer.refusal.code === 'UNAUTHORIZED')
    throw new Refused(statusOfError(answer.refusal, token !== undefined), answer.refusal)
  if ('principal' in answer && answer.principal?.agent_id !== undefined) return answer.principal.agent_id
  const named = c.req.query('agent')
  return named !== undefined && /^[1-9]\d{0,8}$/.test(named) ? Number(named) : undefined
}

function rpcError(code: number, message: string): object {
  return { jsonrpc: '2.0', id: null, error: { code, message } }
}
