import type { CommandContext } from '../../../contract/command.ts'
import { SwarmError } from '../../../contract/errors.ts'
import { pauseOrAbort } from '../../../contract/pause.ts'
import { formatCursor, type Log, parseCursor, readLog } from '../../../events/cursor.ts'
import { streamLines } from '../../../events/lines.ts'
import { LogPages, type LogRow } from '../../../events/log-pages.ts'
import { LogReader } from '../../../events/log-reader.ts'
import { settledNow } from '../../../events/start.ts'
import { retryWhileAway } from '../../../events/while-away.ts'
import { getLogger } from '../../../logger.ts'
import { type Frame, framesOf } from './frames.ts'
import { createGroups, type Member } from './groups.ts'
import { readRunLogs } from './run-logs.ts'

/** Frames are gathered for so long: a client is written to twenty times a second at most. */
const GATHER_MS = 50
/** Rows that are kept for those who come back. */
const KEPT_ROWS = 10_000
const KEPT_BYTES = 16_777_216
const SPAN = 50_000
const SWEEP_EVERY_MS = 1_000
const SWEEP_MS = 3_000
const WAIT_MS = 1_000

/** The one reader of the log in this process, and all who are told of it. */
export interface Hub {
  /**
   * Sends `member` what it wants, first what came after `from` (a cursor, `beginning` or `now`), then all that comes. Answers the cursor up to which
   * it has been told. CONFLICT when the cursor is of another log or below what was removed.
   */
  join(member: Member, from: string | undefined): Promise<string>
  leave(member: Member): void
  /** What a member wants has changed. */
  move(member: Member, change: () => void): void
  members(): Iterable<Member>
  close(): Promise<void>
}

interface Kept {
  readonly seq: number
  readonly frames: readonly Frame[]
  readonly bytes: number
}

/** The reader begins with the first member. */
export function createHub(ctx: CommandContext): Hub {
  const groups = createGroups()
  const stop = new AbortController()
  let log: Log | undefined
  let flushed = 0
  let kept: Kept[] = []
  let keptBytes = 0
  /** All rows after this one are kept. */
  let keptFrom = 0
  let pending: LogRow[] = []
  let pendingUpTo = 0
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let opened: { readonly promise: Promise<void>; readonly resolve: () => void } = gate()

  function flush(): void {
    timer = undefined
    if (!log) return
    const current = log
    const rows = pending
    pending = []
    const fresh = rows.map(({ seq, item }): Kept => {
      const frames = framesOf(formatCursor(current, seq), item)
      // a row makes up to four frames, each in two forms
      return { seq, frames, bytes: (frames[0]?.line().length ?? 0) * 8 }
    })
    flushed = pendingUpTo
    for (const one of fresh) {
      kept.push(one)
      keptBytes += one.bytes
    }
    while (kept.length > KEPT_ROWS || keptBytes > KEPT_BYTES) {
      const oldest = kept.shift()
      keptBytes -= oldest?.bytes ?? 0
      keptFrom = oldest?.seq ?? keptFrom
    }
    groups.tell(fresh.flatMap(({ frames }) => frames))
  }

  function take(items: readonly LogRow[], upTo: number): void {
    pending.push(...items)
    pendingUpTo = upTo
    if (pending.length === 0) flushed = upTo
    else timer ??= setTimeout(flush, GATHER_MS)
  }

  /** Reads one log until it ends or the hub is closed. */
  async function follow(current: Log, from: number): Promise<void> {
    const { signal } = stop
    const reader = new LogReader(ctx.db, current, { repos: [ctx.repo] }, from)
    const logs = readRunLogs(ctx, () => formatCursor(current, flushed))
    let sweptAt = Number.NEGATIVE_INFINITY
    while (!signal.aborted) {
      const step = await retryWhileAway(() => reader.step(), {
        signal,
        deadline: undefined,
        onAway: async () => {},
      })
      if (!step) return
      const { items, upTo, held, atHead } = step.value
      take(items, upTo)
      if (held) await pauseOrAbort(held.pauseMs, signal)
      if (!atHead) continue
      if (groups.size > 0 && performance.now() - sweptAt > SWEEP_EVERY_MS) {
        sweptAt = performance.now()
        // what time alone brings about; the next step tells of a lost database
        await ctx.db.read('select swarm.sweep($1)', [ctx.repo], { timeoutMs: SWEEP_MS }).catch(() => {})
      }
      if (groups.wantsLogs()) groups.tell(await logs.read().catch(() => []))
      else logs.rest()
      await ctx.db.waitForChange(ctx.repo, groups.wantsLogs() ? WAIT_MS / 2 : WAIT_MS, signal)
    }
  }

  async function run(): Promise<void> {
    const { signal } = stop
    const patience = { signal, deadline: undefined, onAway: async () => {} }
    while (!signal.aborted) {
      try {
        const found = await retryWhileAway(() => readLog(ctx.db), patience)
        const from =
          found &&
          (await settledNow(ctx, streamLines({ emit: async () => {} }), { signal, deadline: undefined }))
        if (!found || from === undefined) return
        const current = found.value
        log = current
        flushed = from
        pendingUpTo = from
        keptFrom = from
        opened.resolve()
        await follow(current, from)
      } catch (error) {
        if (!(error instanceof SwarmError)) getLogger().error({ err: error }, 'a fault while reading the log')
        // its history does not go on: whoever follows it must begin afresh
        for (const member of groups.members()) member.cut('log')
        await pauseOrAbort(100, signal)
      }
      log = undefined
      opened = gate()
      pending = []
      kept = []
      keptBytes = 0
    }
  }

  async function catchUp(member: Member, current: Log, from: number): Promise<void> {
    let at = from
    const pages = new LogPages(ctx.db, current, { repos: [ctx.repo] })
    while (at < flushed && !member.gone && log === current) {
      // no await from here to the end of a join: what comes meanwhile would be missed
      if (at >= keptFrom) {
        groups.tellOne(
          member,
          kept.filter(({ seq }) => seq > at).flatMap(({ frames }) => frames),
        )
        return
      }
      const { rows, upTo } = await pages.upTo(at, Math.min(flushed, at + SPAN))
      groups.tellOne(
        member,
        rows.flatMap(({ seq, item }) => framesOf(formatCursor(current, seq), item)),
      )
      at = upTo
      await member.drained()
    }
  }

  return {
    async join(member, from) {
      running ??= run()
      await Promise.race([opened.promise, running])
      const current = log
      if (!current || stop.signal.aborted) throw new SwarmError('DEPENDENCY', 'the log cannot be read now')
      if (from !== undefined && from !== 'now') {
        const now = await readLog(ctx.db)
        const at = from === 'beginning' ? now.floor : parseCursor(from, now, 'from')
        await catchUp(member, current, at)
      }
      if (!member.gone) groups.add(member)
      return formatCursor(current, flushed)
    },
    leave: (member) => groups.remove(member),
    move(member, change) {
      const isIn = groups.remove(member)
      change()
      if (isIn && !member.gone) groups.add(member)
    },
    members: () => groups.members(),
    async close() {
      stop.abort()
      clearTimeout(timer)
      await running
    },
  }
}

function gate() {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
