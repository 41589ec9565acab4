import type { CommandContext } from '../contract/command.ts'
import type { Worked, WorkedNone } from '../contract/stage-fields.ts'
import { isSameClaim } from '../runtime/holdings.ts'
import { write } from '../runtime/write.ts'
import { type Attempt, claimState } from './claim-state.ts'
import { completionOf } from './completion.ts'
import { type Gate, gateOfWork, type HeldWork, heldWork, orGiveBack, startOfGate } from './held-work.ts'
import { runStageCommand, STOP_REASONS, type StageRun, type StopReason } from './stage-runner.ts'
import { takeBead } from './take-bead.ts'

export interface WorkOptions {
  readonly agent_id: number
  readonly command: readonly string[]
  readonly wait_ms?: number | undefined
  readonly lease_ms?: number | undefined
  readonly timeout_ms?: number | undefined
  readonly labels?: readonly string[] | undefined
  readonly bead_types?: readonly string[] | undefined
  readonly with_database?: boolean | undefined
}

/**
 * Claims a bead, runs the command for its stage, then the stage's gate where it has one, finishes the stage and lets go of the
 * bead. What the command itself completed or released stands. A lost claim ends the command and is CONFLICT.
 */
export async function workOne(ctx: CommandContext, options: WorkOptions): Promise<Worked | WorkedNone> {
  const taken = await takeBead(ctx, options)
  if (!taken.work) return { bead_id: null, ...taken }
  const { work } = taken
  const { attempt_id, fence } = work
  const claim: Attempt = { agent_id: options.agent_id, bead_id: work.bead.bead_id, fence, attempt_id }
  const started = performance.now()
  try {
    const result = await orGiveBack(ctx, options.agent_id, work, () => runAll(ctx, options, work, claim))
    const ms = Math.round(performance.now() - started)
    if ('stopped' in result) {
      const { stopped } = result
      const proc = { claim: { ...claim }, release: STOP_REASONS[stopped], ran: { reason: stopped, ms } }
      // under a key of its own: the request may be sent again, and then runs
      return await write(ctx, 'work', options, proc, `give-back-${crypto.randomUUID()}`)
    }
    return await write(ctx, 'work', options, {
      claim: { ...claim },
      complete: completionOf(options.agent_id, work, ...result),
      verified: result.some(({ ran }) => ran.gate),
      release: 'its command completed the stage itself',
      ran: { ...factsOf(result), ms },
    })
  } finally {
    const { holdings, repo } = ctx
    if (isSameClaim(holdings.get(repo, options.agent_id), claim)) holdings.delete(repo, options.agent_id)
  }
}

/** The command and, after it passed, the gate of the stage; in the order in which they ran. */
async function runAll(
  ctx: CommandContext,
  { agent_id, command, timeout_ms, with_database = false }: WorkOptions,
  work: HeldWork,
  claim: Attempt,
): Promise<readonly StageRun[] | { readonly stopped: StopReason }> {
  const always = { echo: ctx.echo, watched: true }
  // a gate that could not be run afterwards would waste the command
  checkGate(ctx, work, gateOfWork(ctx, work))
  const own = await runStageCommand(ctx, agent_id, work, {
    argv: command,
    timeoutMs: timeout_ms,
    withDatabase: with_database,
    ...always,
  })
  if ('stopped' in own) return own
  if (own.ran.outcome !== 'passed' || (await claimState(ctx, claim)) !== 'held') return [own]
  // it may have been configured while the command ran
  const gate = gateOfWork(ctx, await heldWork(ctx, claim))
  if (!gate) return [own]
  const checked = await runStageCommand(ctx, agent_id, work, {
    argv: gate.argv,
    timeoutMs: gate.timeout_ms,
    gate,
    withDatabase: false,
    ...always,
  })
  return 'stopped' in checked ? checked : [own, checked]
}

/** A program that is named by its path may be what the command makes: it is looked for when the gate is run. */
function checkGate(ctx: CommandContext, work: HeldWork, gate: Gate | undefined): void {
  if (gate && !gate.argv[0]?.includes('/')) startOfGate(ctx, work, gate)
}

/** What the answer says of the runs; the last one decided. */
function factsOf(runs: readonly StageRun[]) {
  const command = runs.find(({ ran }) => !ran.gate)?.ran
  const gate = runs.find(({ ran }) => ran.gate)?.ran
  const decided = runs.at(-1)?.ran
  return {
    exit_code: command?.exit_code,
    ...(decided && decided.ended !== 'exited' ? { ended: decided.ended } : {}),
    ...(gate ? { gate: gate.outcome } : {}),
    ...(decided && decided.outcome !== 'passed' ? { output: decided.output } : {}),
  }
}
