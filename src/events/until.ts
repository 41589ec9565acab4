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

/**
 * Whether the bead is completed: in each of the repos that are followed and have it. One that cannot be any more without a person is CONFLICT, one that does not exist NOTFOUND.
 */
export async function beadIsDone(
  ctx: CommandContext,
  repos: readonly string[],
  beadId: string,
): Promise<boolean> {
  const rows = await ctx.db.read<{ repo: string; status: string }>(
    `select repo_id as repo, status from swarm.bead_backlog
      where repo_id = any(array(select json_array_elements_text($1::text::json))) and bead_id = $2`,
    [JSON.stringify(repos), beadId],
  )
  const elsewhere = (repo: string | undefined) => (repo === undefined || repo === ctx.repo ? {} : { repo })
  if (rows.length === 0) {
    throw new SwarmError('NOTFOUND', `no bead ${beadId} in repo ${repos.join(', ')}`, {
      ctx: { field: 'until', got: beadId },
      fix: { cmd: 'beads', ...elsewhere(repos[0]) },
    })
  }
  const ended = rows.find(({ status }) => !['completed', 'pending', 'in_progress'].includes(status))
  if (ended) {
    throw new SwarmError('CONFLICT', `bead ${beadId} is ${ended.status}: it will not be done by itself`, {
      ctx: { bead_id: beadId, status: ended.status },
      fix: { cmd: 'show', bead_id: beadId, ...elsewhere(ended.repo) },
    })
  }
  return rows.every(({ status }) => status === 'completed')
}
