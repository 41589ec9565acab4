import type { Writable } from 'node:stream'
import type { CommandContext } from '../contract/command.ts'
import { claimState } from './claim-state.ts'
import { type Gate, gateOfWork, type HeldWork, heldWork, startOfGate } from './held-work.ts'
import { runStageCommand, type StageRun, type StopReason } from './stage-runner.ts'

export interface WorkCommand {
  /** None: the gate alone. */
  readonly command?: readonly string[] | undefined
  /** Of the command, or of a gate that is run alone; after a command a gate has its own. None: until `max_hold_ms`. */
  readonly timeoutMs: number | undefined
  /** Likewise. */
  readonly withDatabase: boolean
  /** Gets the output as it comes. */
  readonly echo?: Writable | undefined
  /** End what runs also when this process is killed. */
  readonly watched?: boolean
}

/**
 * Runs what finishes the stage of a held bead: the command, where there is one, then the gate of the stage, where it has one. After a
 * command the gate is run only when that passed and the claim is held still at the same attempt. The last run decides; none: there was
 * nothing to run.
 */
export async function runWork(
  ctx: CommandContext,
  agentId: number,
  work: HeldWork,
  { command, timeoutMs, withDatabase, ...always }: WorkCommand,
): Promise<readonly StageRun[] | { readonly stopped: StopReason }> {
  const gate = gateOfWork(ctx, work)
  const runGate = (gate: Gate, limits: Pick<WorkCommand, 'timeoutMs' | 'withDatabase'>) =>
    runStageCommand(ctx, agentId, work, { argv: gate.argv, gate, ...limits, ...always })
  if (!command) {
    if (!gate) return []
    const alone = await runGate(gate, { timeoutMs, withDatabase })
    return 'stopped' in alone ? alone : [alone]
  }
  // a gate that could not be run afterwards would waste the command
  checkGate(ctx, work, gate)
  const own = await runStageCommand(ctx, agentId, work, { argv: command, timeoutMs, withDatabase, ...always })
  if ('stopped' in own) return own
  const claim = {
    agent_id: agentId,
    bead_id: work.bead.bead_id,
    fence: work.fence,
    attempt_id: work.attempt_id,
  }
  if (own.ran.outcome !== 'passed' || (await claimState(ctx, claim)) !== 'held') return [own]
  // it may have been configured while the command ran
  const last = gateOfWork(ctx, await heldWork(ctx, claim))
  if (!last) return [own]
  const checked = await runGate(last, { timeoutMs: last.timeout_ms, withDatabase: false })
  return 'stopped' in checked ? checked : [own, checked]
}

/** A program that is named by its path may be what the command makes: it is looked for when the gate is run. */
function checkGate(ctx: CommandContext, work: HeldWork, gate: Gate | undefined): void {
  if (gate && !gate.argv[0]?.includes('/')) startOfGate(ctx, work, gate)
}
