import type { CommandContext } from '../contract/command.ts'
import type { Worked, WorkedNone } from '../contract/stage-fields.ts'
import { isSameClaim } from '../runtime/holdings.ts'
import { write } from '../runtime/write.ts'
import type { Attempt } from './claim-state.ts'
import { completionOf } from './completion.ts'
import { orGiveBack } from './held-work.ts'
import { runWork } from './run-work.ts'
import { STOP_REASONS, type StageRun } from './stage-runner.ts'
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
  const { command, timeout_ms, with_database = false } = options
  const limits = { timeoutMs: timeout_ms, withDatabase: with_database }
  const run = () =>
    runWork(ctx, options.agent_id, work, { command, ...limits, echo: ctx.echo, watched: true })
  const started = performance.now()
  try {
    const result = await orGiveBack(ctx, options.agent_id, work, run)
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
