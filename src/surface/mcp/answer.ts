import type { CallToolResult } from '@modelcontextprotocol/server'
import type { Catalog } from '../../contract/command.ts'
import type { Reply } from '../../contract/envelope.ts'
import type { Json, JsonObject } from '../../contract/json.ts'
import { toCall } from './tools.ts'

/**
 * A reply as the result of a tool: the envelope as text, without what only programs need (rid, t, ms), `fix` and `next` as calls. Text alone:
 * clients show a model nothing of it where there is `structuredContent` beside. `lines` were sent ahead of the reply; `told` is what
 * its reader should know besides.
 */
export function toResult(
  catalog: Catalog,
  reply: Reply,
  lines: readonly Json[] = [],
  told: JsonObject = {},
): CallToolResult {
  const text = JSON.stringify({ ...compact(catalog, reply, lines), ...told })
  return { content: [{ type: 'text', text }], ...(reply.ok ? {} : { isError: true }) }
}

function compact(catalog: Catalog, reply: Reply, lines: readonly Json[]): object {
  if (reply.ok) {
    return {
      ok: true,
      ...(lines.length > 0 ? { lines } : {}),
      d: reply.d,
      ...(reply.replayed ? { replayed: true } : {}),
      ...(reply.state ? { state: reply.state } : {}),
      ...(reply.next ? { next: toCall(catalog, reply.next) } : {}),
    }
  }
  const { code, message: msg, ctx, fix } = reply.error
  return {
    ok: false,
    err: { code, msg, ...(Object.keys(ctx).length > 0 ? { ctx } : {}) },
    ...(fix ? { fix: toCall(catalog, fix) } : {}),
  }
}
