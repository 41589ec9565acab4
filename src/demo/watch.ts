import type { EventRow } from '../contract/events.ts'
import type { JsonObject } from '../contract/json.ts'
import type { Model } from './model.ts'
import type { SwarmPipe } from './swarm-pipe.ts'

/** Follows the event log over the operator's own pipe, as any reader would: from cursor to cursor. */
export interface Watch {
  /** Brings the model up to where the log is final now. */
  refresh(): Promise<void>
  /** Sequence number at which the watch began. */
  readonly from: number
}

const PAGE = 1_000

export async function watchEvents(swarm: SwarmPipe, model: Model, elapsedMs: () => number): Promise<Watch> {
  const skipped = await skipToEnd(swarm)
  let cursor = skipped.cursor
  return {
    from: skipped.sequence,
    async refresh() {
      for (let more = true; more; ) {
        const page = await readPage(swarm, cursor)
        for (const event of page.events) model.apply(event, elapsedMs())
        cursor = page.cursor
        more = page.more
      }
    },
  }
}

async function skipToEnd(swarm: SwarmPipe): Promise<{ cursor: string; sequence: number }> {
  for (let cursor: string | number = 0; ; ) {
    const page = await readPage(swarm, cursor)
    cursor = page.cursor
    if (!page.more) return { cursor, sequence: Number(cursor.split(':')[1]) }
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
