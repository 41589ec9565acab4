import { type Reply, renderLine, toEnvelope } from '../../contract/envelope.ts'
import { getLogger } from '../../logger.ts'
import { decodeLine } from '../../wire/decode.ts'
import { runSession } from '../../wire/session.ts'
import { answerReply } from './answer.ts'
import { type Ctx, goneSignal } from './asked.ts'
import { readBody } from './body.ts'
import type { Callers } from './callers.ts'
import { sent, textOf } from './parts.ts'
import { perform } from './perform.ts'

const LINES = 'application/x-ndjson; charset=utf-8'

/**
 * `POST /api/rpc`: one request, answered with its envelope and the status that fits; or, as `application/x-ndjson`, any number of lines,
 * answered line by line as in a pipe. What a request sends ahead of its reply makes lines of one answer too.
 */
export async function answerRpc(c: Ctx, callers: Callers, maxBytes: number): Promise<Response> {
  const { incoming, outgoing } = c.env
  const { token, dispatcher } = c.get('asked')
  if (isLines(incoming.headers['content-type'])) {
    const own = callers.own(token)
    outgoing.writeHead(200, { 'content-type': LINES })
    try {
      await runSession({
        input: incoming,
        output: outgoing,
        handler: own,
        limits: { maxLineBytes: maxBytes },
        onOutputClosed: () => own.shutdown(),
        onInputEnd: () => own.inputEnded(),
        onFault: (err) => getLogger().error({ err }, 'a fault while answering a request'),
      })
    } finally {
      await own.close()
      outgoing.end()
    }
    return sent()
  }
  const bytes = await readBody(incoming, maxBytes)
  if (!bytes) return sent()
  const decoded = decodeLine({ number: 1, bytes: bytes.length, text: textOf(bytes) })
  if (decoded.error) return answerReply(c, dispatcher.refuse(decoded.error, decoded.rid))
  let ahead = false
  const write = (replies: readonly Reply[]) => {
    if (!ahead) outgoing.writeHead(200, { 'content-type': LINES })
    ahead = true
    return outgoing.write(
      replies.map((reply) => `${JSON.stringify(toEnvelope(reply, renderLine))}\n`).join(''),
    )
  }
  const reply = await perform(dispatcher, decoded.request, {
    gone: () => goneSignal(outgoing),
    async emit(lines) {
      if (write(lines) || outgoing.destroyed) return
      await new Promise<void>((resolve) => {
        outgoing.once('drain', resolve)
        outgoing.once('close', resolve)
      })
    },
  })
  if (!ahead) return answerReply(c, reply)
  write([reply])
  outgoing.end()
  return sent()
}

function isLines(type: string | undefined): boolean {
  return /^application\/(?:x-ndjson|ndjson|jsonl|json-lines)\b/i.test(type ?? '')
}
