import { type Catalog, loadVerb } from '../contract/command.ts'
import { type FixRequest, SwarmError } from '../contract/errors.ts'
import type { Prepared } from './prepare.ts'

/** What a write acts on. */
const NAMES = ['bead_id', 'agent_id', 'agent', 'from', 'stage'] as const

/**
 * An error of a request with a `fix` that acts where the request did: in the same repo, and as a write on nothing else. A fix that
 * would write to another bead, agent or stage is a guess: it goes to `ctx.nearest`, and the fix only shows it.
 */
export async function fixedFor(thrown: unknown, request: Prepared, catalog: Catalog): Promise<unknown> {
  if (!(thrown instanceof SwarmError) || !thrown.fix || thrown.fix.cmd === 'batch') return thrown
  const { fix, ctx } = thrown
  const command = await loadVerb(catalog, fix.cmd)
  if (!command || (command.needs ?? 'database') !== 'database') return thrown
  const { repo } = request.common
  const here = (wanted: FixRequest) => ({ ...wanted, ...(repo === undefined ? {} : { repo }) })
  const { input } = request
  const other = NAMES.find(
    (name) => input[name] !== undefined && fix[name] !== undefined && input[name] !== fix[name],
  )
  if (command.effect === 'read' || other === undefined) return thrown.with({ fix: here(fix) })
  return thrown.with({
    ctx: { nearest: fix[other], ...ctx },
    fix: other === 'bead_id' ? here({ cmd: 'show', bead_id: fix.bead_id }) : undefined,
  })
}
