import type { EventRow } from '../contract/events.ts'
import type { JsonObject } from '../contract/json.ts'
import type { Board } from './board.ts'
import type { SwarmPipe } from './swarm-pipe.ts'

/** Follows the event log over the operator's own pipe, as any reader would: from cursor to cursor. */
export interface Watch {
  /** Brings the board's news up to where the log is final now. */
  refresh(): Promise<void>
  /** What has happened since the watch began. */
  counts(): { readonly retried: number }
}

const PAGE = 1_000

export async function watchEvents(swarm: SwarmPipe, board: Board, elapsedMs: () => number): Promise<Watch> {
  let cursor = await skipToEnd(swarm)
  let retried = 0
  return {
    counts: () => ({ retried }),
    async refresh() {
      for (let more = true; more; ) {
        const page = await readPage(swarm, cursor)
        for (const event of page.events) {
          board.apply(event, elapsedMs())
          if (event.event_type === 'transition_retry') retried += 1
        }
        cursor = page.cursor
        more = page.more
      }
    },
  }
}

async function skipToEnd(swarm: SwarmPipe): Promise<string> {
  for (let cursor: string | number = 0; ; ) {
    const page = await readPage(swarm, cursor)
    cursor = page.cursor
    if (!page.more) return page.cursor
  }
}

async function readPage(swarm: SwarmPipe, after: string | number) {
  const d: JsonObject = await swarm.get({ cmd: 'events', after, limit: PAGE })
  // the answer to `events` is what its output schema says
  return d as unknown as {
    readonly events: readonly EventRow[]
    readonly cursor: string
    readonly more: boolean
  }
}
