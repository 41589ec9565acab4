import type { Writable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'
import { maskSecrets, maskWords } from '../contract/secrets.ts'
import type { Ran } from '../contract/stage-fields.ts'
import { type CommandResult, operatorPath, runCommand, tailOf } from '../process/index.ts'
import { type Gate, gateFault, type HeldWork, startOfGate } from './held-work.ts'
import { type ClaimEnd, keepClaim } from './keep-claim.ts'

/** Output that is stored with the attempt, in bytes. */
const STORED_BYTES = 65_536
/** What an answer and the feedback to the next attempt show of it, in characters. */
const TAIL_CHARS = 2_000
/** A command is given this long to end when swarm itself is told to stop. */
const GRACE_MS = 2_000
/** Longer texts do not fit into a variable everywhere; the whole is on stdin. */
const FEEDBACK_CHARS = 16_000

export interface StageCommand {
  readonly argv: readonly string[]
  /** None: it runs until the claim has been held for `max_hold_ms`. */
  readonly timeoutMs: number | undefined
  /** Set when it is the gate of a stage: then its program is looked for outside of the workspace. */
  readonly gate?: Gate | undefined
  readonly withDatabase: boolean
  /** Gets the output as it comes. */
  readonly echo?: Writable | undefined
  /** End it also when this process is killed. */
  readonly watched?: boolean
}

export interface StageRun {
  readonly ran: Ran
  /** What the next attempt must know; only when it did not pass. */
  readonly feedback: string | undefined
  /** For `complete-stage`: what was run, how it ended, and its output. */
  readonly evidence: JsonObject & { readonly output: string }
}

/** Why a command was ended that should not count as an attempt: the bead is to be given back. */
export type StopReason = 'shutdown' | 'cancelled' | 'max_hold'

/** Said in the event of the bead that is given back. */
export const STOP_REASONS: Readonly<Record<StopReason, string>> = {
  shutdown: 'swarm was told to stop',
  cancelled: 'the request was cancelled',
  max_hold: 'it was held for max_hold_ms',
}

/**
 * Runs a command for a held bead: its own process group, `SWARM_*` variables, the claim as JSON on stdin. The claim is
 * renewed meanwhile. When it is lost the command is ended, which is CONFLICT. A gate that cannot be started is DEPENDENCY: it says
 * nothing of the bead.
 */
export async function runStageCommand(
  ctx: CommandContext,
  agentId: number,
  work: HeldWork,
  command: StageCommand,
): Promise<StageRun | { readonly stopped: StopReason }> {
  const { attempt_id, fence, lease_ms } = work
  const { bead_id } = work.bead
  const claim = keepClaim(ctx, { agent_id: agentId, bead_id, fence, attempt_id, lease_ms })
  try {
    const result = await run(ctx, agentId, work, command, AbortSignal.any([claim.over, ctx.signal]))
    if (claim.over.aborted) {
      // keepClaim aborts with nothing else
      const why = claim.over.reason as ClaimEnd
      if (why === 'max_hold') return { stopped: why }
      throw lostClaim(agentId, work, why)
    }
    if (result.ended === 'aborted') return { stopped: ctx.stopping ? 'shutdown' : 'cancelled' }
    return describe(work, command, result.ended, result)
  } finally {
    claim.stop()
  }
}

function lostClaim(agentId: number, { bead, fence }: HeldWork, why: 'lost' | 'away'): SwarmError {
  const { bead_id } = bead
  return new SwarmError(
    'CONFLICT',
    why === 'lost'
      ? `the claim on bead ${bead_id} was lost while its command ran; the command was ended`
      : `the claim on bead ${bead_id} ran out while its command ran and the database was away; the command was ended`,
    { area: 'claim', ctx: { bead_id, fence }, fix: { cmd: 'claim-next', agent_id: agentId } },
  )
}

async function run(
  ctx: CommandContext,
  agentId: number,
  work: HeldWork,
  command: StageCommand,
  signal: AbortSignal,
): Promise<Ending> {
  const { withDatabase, timeoutMs, echo, watched = false, gate } = command
  const env = environment(ctx, agentId, work, withDatabase)
  const { argv, path } = gate ? startOfGate(ctx, work, gate) : { argv: command.argv }
  try {
    return await runCommand({
      argv,
      cwd: ctx.cwd,
      env: path === undefined ? env : { ...env, PATH: path },
      withDatabase,
      input: `${JSON.stringify({ ...work, ...NOT_TOLD })}\n`,
      timeoutMs,
      maxOutputBytes: STORED_BYTES,
      graceMs: GRACE_MS,
      signal,
      echo,
      watched,
    })
  } catch (error) {
    if (gate) throw gateFault(error, work.workflow, work.bead.bead_id, gate)
    if (!(error instanceof SwarmError) || error.code !== 'DEPENDENCY') throw error
    return {
      ended: 'missing',
      problem: error.message,
      durationMs: 0,
      output: { text: '', bytes: 0, cutBytes: 0 },
    }
  }
}

/** What concerns the runner alone. */
const NOT_TOLD = {
  attempt_id: undefined,
  workflow: undefined,
  gate: undefined,
  qa: undefined,
  timeout_ms: undefined,
}

/** What the command is told of its claim, and what lets a `swarm` that it calls reach the same database as the same holder. */
function environment(ctx: CommandContext, agentId: number, work: HeldWork, withDatabase: boolean) {
  return {
    SWARM_AGENT_ID: String(agentId),
    SWARM_BEAD_ID: work.bead.bead_id,
    SWARM_STAGE: work.stage,
    SWARM_ATTEMPT: String(work.attempt),
    SWARM_FENCE: String(work.fence),
    SWARM_FEEDBACK: work.feedback?.slice(0, FEEDBACK_CHARS),
    SWARM_REPO: ctx.repo,
    SWARM_HOLDER: ctx.holder,
    // a swarm that it calls finds gates where this one does, whatever becomes of the PATH on the way
    SWARM_GATE_PATH: operatorPath(ctx.env),
    ...(ctx.root ? { SWARM_ROOT: ctx.root.path } : {}),
    ...(withDatabase && ctx.databaseUrl !== undefined ? { DATABASE_URL: ctx.databaseUrl } : {}),
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
      gate: command.gate !== undefined,
      outcome,
      ...facts,
      output: tail,
    },
    feedback: outcome === 'passed' ? undefined : `${shown} ${how}${tail ? `\n${tail}` : ''}`,
    evidence: {
      command: shown,
      ...(command.gate ? { gate: command.gate.name, gate_hash: command.gate.hash } : {}),
      ...facts,
      // the first lines tell two runs apart that write the same: content is stored once
      output: `$ ${shown}\n[${how}, ${durationMs} ms, ${new Date().toISOString()}]\n${output}`,
    },
  }
}

/** A command as a person reads it: words with blanks in quotes. For display only. */
function showCommand(argv: readonly string[]): string {
  const shown = maskWords(argv)
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word)))
    .join(' ')
  return shown.length > 1_000 ? `${shown.slice(0, 1_000)}…` : shown
}
