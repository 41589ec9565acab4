import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import type { Action, Decision } from '../core/actions.ts'
import { decide } from '../core/decide.ts'
import type { Rules } from '../core/rules.ts'
import type { Snapshot } from '../core/snapshot.ts'
import { readFunction } from '../runtime/read.ts'
import { write } from '../runtime/write.ts'

export interface Tick {
  readonly term: number
  readonly snapshot: Snapshot
  readonly decision: Decision
  /** How many actions the database carried out; the others had become untrue meanwhile. */
  readonly done: number
}

/** Reads the facts of a run. One read. */
export function readSnapshot(ctx: CommandContext, runId: string): Promise<Snapshot> {
  return readFunction<Snapshot>(ctx, 'snapshot', ctx.repo, runId)
}

/** One look at everything: read, decide, act. Each action is one write under the leader's term. */
export async function tick(ctx: CommandContext, runId: string, rules: Rules, term: number): Promise<Tick> {
  const snapshot = await readSnapshot(ctx, runId)
  const decision = decide(snapshot, rules)
  let done = 0
  for (const action of decision.actions) {
    if (await act(ctx, runId, term, action)) done += 1
  }
  return { term, snapshot, decision, done }
}

/** False when the state does not allow the action any more: the next tick sees why. A term that is over is thrown. */
async function act(ctx: CommandContext, runId: string, term: number, action: Action): Promise<boolean> {
  // a warning that was told already is no earlier reply of this request
  const own: CommandContext = { ...ctx, replayed() {} }
  const key = action.kind === 'warn' ? `warn/${action.key}` : `act/${term}/${crypto.randomUUID()}`
  const more = action.kind === 'assign' ? { session_id: `s-${crypto.randomUUID().slice(0, 12)}` } : {}
  try {
    await write(own, 'lead-act', { term, run_id: runId, ...withoutKey(action), ...more }, {}, key)
    return true
  } catch (error) {
    if (!(error instanceof SwarmError) || error.code !== 'CONFLICT' || 'term' in error.ctx) throw error
    return false
  }
}

function withoutKey(action: Action): object {
  if (action.kind !== 'warn') return action
  const { key: _key, ...rest } = action
  return rest
}
