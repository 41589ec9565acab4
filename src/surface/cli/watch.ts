import type { Emit, Reply } from '../../contract/envelope.ts'
import { isJsonObject } from '../../contract/json.ts'
import type { Overview } from '../../contract/run-rows.ts'
import type { Dispatcher, Prepared } from '../../runtime/dispatch.ts'
import type { Live } from './live.ts'

/** Runs a request while its terminal shows how the run stands: `top` is nothing else, and beside `up` the same is asked for. */
export async function runWatched(
  dispatcher: Pick<Dispatcher, 'accept' | 'run'>,
  request: Prepared,
  live: Live,
): Promise<Reply> {
  const draw: Emit = async (lines) => {
    for (const line of lines) if (line.ok && isOverview(line.d)) live.draw(line.d)
  }
  const over = new AbortController()
  try {
    if (request.command.name === 'top') {
      const reply = await dispatcher.run(request, draw)
      if (reply.ok && isOverview(reply.d)) live.draw(reply.d)
      return reply
    }
    const watching = dispatcher.accept({ cmd: 'top', rid: 'watch', every_ms: 1_000 }).then((accepted) => {
      return 'ok' in accepted ? accepted : dispatcher.run(accepted, draw, over.signal)
    })
    const reply = await dispatcher.run(request, async () => {})
    over.abort()
    const last = await watching
    if (last.ok && isOverview(last.d)) live.draw(last.d)
    return reply
  } finally {
    over.abort()
    live.end()
  }
}

/** What a person reads at the end instead of the envelope; undefined where that says more. */
export function textAfter(reply: Reply): string | undefined {
  if (!reply.ok || !isJsonObject(reply.d)) return undefined
  const { run_id, status, landed, target } = reply.d
  if (typeof run_id !== 'string' || typeof status !== 'string') return ''
  return `${run_id} ${status}: ${Number(landed)}${typeof target === 'number' ? ` of ${target}` : ''} landed`
}

function isOverview(d: unknown): d is Overview {
  return typeof d === 'object' && d !== null && 'verdict' in d && 'sessions' in d
}
