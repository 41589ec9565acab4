import { SwarmError } from '../../../contract/errors.ts'
import type { Ctx } from '../asked.ts'
import { sent } from '../parts.ts'
import { ALL_CHANNELS } from './frames.ts'
import type { Member } from './groups.ts'
import { invalid } from './invalid.ts'
import { MOST_UNREAD_BYTES, type Streams } from './streams.ts'
import { streamQuery } from './wanted.ts'

const COMMENT_MS = 15_000
/** A client that was cut may still read for so long. */
const PARTING_MS = 1_000

/**
 * `GET /api/stream`: server-sent events. The first is `ready`, with the cursor of the beginning. A cursor that is dead is answered 204, which
 * ends the reconnecting of a browser; no event is called `error`, since a browser has one of that name.
 */
export async function answerStream(c: Ctx, streams: Streams): Promise<Response> {
  const { outgoing } = c.env
  const asked = c.get('asked')
  const query = streamQuery.safeParse(queryOf(c))
  if (!query.success) throw invalid(query.error.issues)
  const { channels = [], rooms = [], from, ...filters } = query.data
  const topics = new Set<string>([...channels, ...rooms])
  if (topics.size === 0) for (const channel of ALL_CHANNELS) topics.add(channel)
  const place = await streams.enter(asked, 'sse')
  let gone = false
  let begun = false
  const waiting: Buffer[] = []
  let comments: NodeJS.Timeout | undefined

  const end = () => {
    gone = true
    clearInterval(comments)
    streams.hub.leave(member)
    place.leave()
  }
  const member: Member = {
    form: 'sse',
    topics,
    filters,
    token: asked.token,
    get gone() {
      return gone
    },
    send(bytes) {
      if (!begun) {
        waiting.push(bytes)
        return
      }
      outgoing.write(bytes)
      if (outgoing.writableLength > MOST_UNREAD_BYTES) member.cut('slow')
    },
    drained: () =>
      new Promise((resolve) => {
        if (gone || !outgoing.writableNeedDrain) return resolve()
        outgoing.once('drain', resolve)
        outgoing.once('close', resolve)
      }),
    cut(reason) {
      if (gone) return
      end()
      outgoing.end(`event: closing\ndata: ${JSON.stringify({ reason })}\n\n`)
      setTimeout(() => outgoing.destroy(), PARTING_MS).unref()
    },
  }
  outgoing.once('close', end)
  const begin = () => {
    if (begun || gone) return
    begun = true
    outgoing.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' })
    outgoing.write('retry: 2000\n\n')
    comments = setInterval(() => outgoing.write(':\n\n'), COMMENT_MS)
    comments.unref()
  }
  try {
    const last = c.req.header('last-event-id') || from
    const told = await streams.hub.join(member, last)
    begin()
    for (const bytes of waiting) member.send(bytes)
    if (!gone)
      outgoing.write(
        `${last === undefined ? `id: ${told}\n` : ''}event: ready\ndata: ${JSON.stringify({ cursor: told })}\n\n`,
      )
    return sent()
  } catch (error) {
    end()
    if (error instanceof SwarmError && error.code === 'CONFLICT') {
      outgoing.writeHead(204)
      outgoing.end()
      return sent()
    }
    throw error
  }
}

function queryOf(c: Ctx): Readonly<Record<string, unknown>> {
  const lists = ['channels', 'rooms', 'event_types']
  return Object.fromEntries(
    Object.entries(c.req.queries()).map(([name, texts]) => [
      name,
      lists.includes(name)
        ? texts.flatMap((text) => text.split(',')).filter((text) => text !== '')
        : texts.at(-1),
    ]),
  )
}
