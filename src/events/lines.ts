import type { CommandContext } from '../contract/command.ts'
import type { Json } from '../contract/json.ts'

const STALLED_AFTER_MS = 1_000
const STALLED_EVERY_MS = 5_000

/** The lines of one subscription. */
export interface StreamLines {
  /** Sends lines and resolves when the reader has taken them. */
  send(lines: readonly Json[]): Promise<void>
  /** Says why nothing comes, once it has lasted a second and then every five. `cursor` is where the stream stands. */
  stalled(ms: number, why: { readonly [key: string]: Json }, cursor?: string): Promise<void>
  /** `performance.now()` of the last line. */
  readonly lastAt: number
}

export function streamLines(ctx: Pick<CommandContext, 'emit'>): StreamLines {
  let lastAt = performance.now()
  let lastNotice = Number.NEGATIVE_INFINITY
  const send = async (lines: readonly Json[]) => {
    lastAt = performance.now()
    await ctx.emit(lines)
  }
  return {
    send,
    async stalled(ms, why, cursor) {
      if (ms < STALLED_AFTER_MS || performance.now() - lastNotice < STALLED_EVERY_MS) return
      lastNotice = performance.now()
      const place = cursor === undefined ? {} : { cursor }
      await send([{ kind: 'stalled', ...place, held_ms: Math.round(ms), ...why }])
    },
    get lastAt() {
      return lastAt
    },
  }
}

/** Why a stream does not go on: a transaction that may still write below what is visible. */
export function openTransaction(pid: number | undefined): { readonly [key: string]: Json } {
  return { reason: 'open_transaction', ...(pid === undefined ? {} : { pid }) }
}
