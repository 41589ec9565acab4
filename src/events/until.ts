import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'

/** `until` of subscribe: a sequence number, an idle time, or a bead that is done. */
export const UNTIL = /^(?:(\d{1,18})|idle:(\d{1,6})(ms|s|m)|bead:(\S{1,200}):done)$/

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 }

export type Until =
  | { readonly kind: 'seq'; readonly seq: number }
  | { readonly kind: 'idle'; readonly ms: number }
  | { readonly kind: 'bead'; readonly beadId: string }

/** Reads `until`; the schema has checked its form. */
export function parseUntil(text: string | undefined): Until | undefined {
  const [, seq, count, unit, beadId] = UNTIL.exec(text ?? '') ?? []
  if (seq !== undefined) return { kind: 'seq', seq: Number(seq) }
  if (count !== undefined) return { kind: 'idle', ms: Number(count) * (UNIT_MS[unit ?? 's'] ?? 1_000) }
  return beadId === undefined ? undefined : { kind: 'bead', beadId }
}

/** Whether the bead is completed. One that cannot be any more without a person is CONFLICT, one that does not exist NOTFOUND. */
export async function beadIsDone(ctx: CommandContext, beadId: string): Promise<boolean> {
  const [row] = await ctx.db.read<{ status: string }>(
    'select status from swarm.bead_backlog where repo_id = $1 and bead_id = $2',
    [ctx.repo, beadId],
  )
  const fix = { cmd: 'show', bead_id: beadId }
  if (!row) {
    throw new SwarmError('NOTFOUND', `no bead ${beadId} in repo ${ctx.repo}`, {
      ctx: { field: 'until', got: beadId },
      fix: { cmd: 'beads' },
    })
  }
  if (row.status === 'completed') return true
  if (row.status === 'pending' || row.status === 'in_progress') return false
  throw new SwarmError('CONFLICT', `bead ${beadId} is ${row.status}: it will not be done by itself`, {
    ctx: { bead_id: beadId, status: row.status },
    fix,
  })
}
