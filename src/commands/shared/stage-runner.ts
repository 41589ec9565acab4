import { stripVTControlCharacters } from 'node:util'
import type { CommandContext } from '../../contract/context.ts'
import { SwarmError } from '../../contract/errors.ts'
import type { JsonObject } from '../../contract/json.ts'
import { maskSecrets } from '../../contract/mask.ts'
import { type CommandResult, runCommand, tailOf } from '../../process/index.ts'
import type { HeldWork } from './held-work.ts'
import { keepClaim } from './keep-claim.ts'
import type { Ran } from './stage-fields.ts'

/** Output that is stored with the attempt, in bytes. */
const STORED_BYTES = 65_536
/** What an answer and the feedback to the next attempt show of it, in characters. */
const TAIL_CHARS = 2_000
/** A command is given this long to end when swarm itself is told to stop. */
const GRACE_MS = 2_000

export interface StageCommand {
  readonly argv: readonly string[]
  readonly timeoutMs: number
  readonly gate: boolean
  readonly withDatabase: boolean
}

export interface StageRun {
  readonly ran: Ran
  /** What the next attempt must know; only when it did not pass. */
  readonly feedback: string | undefined
  /** For `complete-stage`: what was run, how it ended, and its output. */
  readonly evidence: JsonObject & { readonly output: string }
}

/**
 * Runs a command for a held bead: its own process group, `SWARM_*` variables, the claim as JSON on stdin. The claim is
 * renewed meanwhile. Undefined when swarm was told to stop; CONFLICT when the claim was lost. Both end the command.
 */
export async function runStageCommand(
  ctx: CommandContext,
  agentId: number,
  work: HeldWork,
  command: StageCommand,
): Promise<StageRun | undefined> {
  const { bead_id } = work.bead
  const claim = keepClaim(ctx, { agent_id: agentId, bead_id, fence: work.fence, lease_ms: work.lease_ms })
  try {
    const result = await run(ctx, agentId, work, command, AbortSignal.any([claim.lost, ctx.signal]))
    if (claim.lost.aborted) {
      throw new SwarmError('CONFLICT', `the claim on bead ${bead_id} was lost while its command ran`, {
        area: 'claim',
        ctx: { bead_id, fence: work.fence },
        fix: { cmd: 'claim-next', agent_id: agentId },
      })
    }
    return result.ended === 'aborted' ? undefined : describe(work, command, result.ended, result)
  } finally {
    claim.stop()
  }
}

async function run(
  ctx: CommandContext,
  agentId: number,
  work: HeldWork,
  command: StageCommand,
  signal: AbortSignal,
): Promise<Ending> {
  try {
    return await runCommand({
      argv: command.argv,
      cwd: ctx.cwd,
      env: {
        SWARM_AGENT_ID: String(agentId),
        SWARM_BEAD_ID: work.bead.bead_id,
        SWARM_STAGE: work.stage,
        SWARM_ATTEMPT: String(work.attempt),
        SWARM_FENCE: String(work.fence),
        SWARM_REPO: ctx.repo,
        ...(ctx.root ? { SWARM_ROOT: ctx.root.path } : {}),
      },
      withDatabase: command.withDatabase,
      input: `${JSON.stringify({ ...work, gate: undefined, qa: undefined, timeout_ms: undefined })}\n`,
      timeoutMs: command.timeoutMs,
      maxOutputBytes: STORED_BYTES,
      graceMs: GRACE_MS,
      signal,
    })
  } catch (error) {
    if (!(error instanceof SwarmError) || error.code !== 'DEPENDENCY') throw error
    return {
      ended: 'missing',
      problem: error.message,
      durationMs: 0,
      output: { text: '', bytes: 0, cutBytes: 0 },
    }
  }
}

/** How a command ended, or why it could not begin. */
interface Ending extends Pick<CommandResult, 'exitCode' | 'signal' | 'durationMs' | 'output'> {
  readonly ended: CommandResult['ended'] | 'missing'
  readonly problem?: string
}

function describe(work: HeldWork, command: StageCommand, ended: Ran['ended'], result: Ending): StageRun {
  const { exitCode, signal, durationMs } = result
  const shown = showCommand(command.argv)
  const output = maskSecrets(stripVTControlCharacters(result.output.text))
  const outcome = ended !== 'exited' ? 'error' : exitCode === 0 ? 'passed' : 'failed'
  const how = {
    exited: `exited with ${exitCode}`,
    signaled: `was ended by ${signal}`,
    timed_out: `did not end within ${command.timeoutMs} ms`,
    missing: `could not run: ${result.problem}`,
  }[ended]
  const facts = {
    ended,
    ...(exitCode === undefined ? {} : { exit_code: exitCode }),
    ...(signal === undefined ? {} : { signal }),
    duration_ms: durationMs,
    ...(result.output.cutBytes > 0 ? { cut_bytes: result.output.cutBytes } : {}),
  }
  const tail = tailOf(output, TAIL_CHARS)
  return {
    ran: {
      bead_id: work.bead.bead_id,
      stage: work.stage,
      attempt: work.attempt,
      gate: command.gate,
      outcome,
      ...facts,
      output: tail,
    },
    feedback: outcome === 'passed' ? undefined : `${shown} ${how}${tail ? `\n${tail}` : ''}`,
    evidence: {
      command: shown,
      ...(command.gate ? { gate: command.argv } : {}),
      ...facts,
      // the first lines tell two runs apart that write the same: content is stored once
      output: `$ ${shown}\n[${how}, ${durationMs} ms, ${new Date().toISOString()}]\n${output}`,
    },
  }
}

/** A command as a person reads it: words with blanks in quotes. For display only. */
function showCommand(argv: readonly string[]): string {
  const shown = argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(' ')
  return maskSecrets(shown.length > 1_000 ? `${shown.slice(0, 1_000)}…` : shown)
}
