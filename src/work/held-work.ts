import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { gateHash, gateName, gateOf } from '../contract/gates.ts'
import { operatorPath, type ResolvedGate, resolveGate } from '../process/index.ts'
import { ownClaim } from '../runtime/holdings.ts'
import { readFunction } from '../runtime/read.ts'

/** A gate as the database knows it. */
export interface KnownGate {
  readonly name: string
  /** `gateHash` of its words. */
  readonly hash: string
  readonly timeout_ms: number
}

/** A held bead with what is to be run for it: `swarm.held_work`. */
export interface HeldWork {
  readonly bead: { readonly bead_id: string; readonly title: string }
  readonly workflow: string
  readonly stage: string
  readonly attempt: number
  /** The row of the running attempt: a stage that is started again has another one under the same number. */
  readonly attempt_id: number
  readonly feedback?: string
  readonly fence: number
  readonly lease_ms: number
  /** The gate of the current stage. */
  readonly gate?: KnownGate
  readonly timeout_ms?: number
  /** The gate of the workflow's stage `qa`. */
  readonly qa?: KnownGate
}

/** A gate that may run: its words are those of this root's configuration, and the database knows it by the same hash. */
export interface Gate extends KnownGate {
  /** The stage whose gate it is. */
  readonly stage: string
  readonly argv: readonly string[]
}

/** What the agent holds; CONFLICT when it holds nothing, another bead, or under another fence. */
export function heldWork(
  ctx: CommandContext,
  claim: {
    readonly agent_id: number
    readonly bead_id?: string | undefined
    readonly fence?: number | undefined
  },
): Promise<HeldWork> {
  const own = ownClaim(ctx, claim.agent_id)
  const fence = claim.fence ?? (own && (claim.bead_id ?? own.bead_id) === own.bead_id ? own.fence : undefined)
  return readFunction(
    ctx,
    'held_work',
    ctx.repo,
    claim.agent_id,
    claim.bead_id ?? (fence === own?.fence ? own?.bead_id : undefined) ?? null,
    fence ?? null,
  )
}

/**
 * The gate of the held stage, or of the workflow's stage `qa`; undefined when neither the database nor this root's configuration has
 * one. The only place where the words of a gate arrive: they come from the configuration, never from the database. DEPENDENCY when the
 * two do not agree, for then it is not known which command decides; INVALID while the configuration is not trusted, for the same reason.
 */
export function gateOfWork(ctx: CommandContext, work: HeldWork, stage = work.stage): Gate | undefined {
  if (ctx.root?.distrust) throw ctx.root.distrust
  const { workflow } = work
  const known = stage === work.stage ? work.gate : work.qa
  const argv = gateOf(ctx.root?.config, workflow, stage)
  if (!known && !argv) return undefined
  const hash = argv && gateHash(argv)
  if (!known || !argv || known.hash !== hash) throw otherGate(work, stage, known, argv)
  return { ...known, stage, argv }
}

/**
 * For a bead that was claimed to be run: when its gate cannot be run, for which the configuration is to blame and not the bead, the bead is
 * given back first. That is no attempt.
 */
export async function orGiveBack<T>(
  ctx: CommandContext,
  agentId: number,
  { bead: { bead_id }, fence }: HeldWork,
  work: () => T | Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof SwarmError && error.area === 'configuration') {
      const reason = 'its gate cannot be run here'
      await ctx.execute({ cmd: 'release', agent_id: agentId, bead_id, fence, reason })
    }
    throw error
  }
}

/** Where the gate of a bead is run, and how it is started. A program that cannot be found is a fault of the configuration. */
export function startOfGate(ctx: CommandContext, { workflow, bead }: HeldWork, gate: Gate): ResolvedGate {
  const place = { root: ctx.root?.path ?? ctx.cwd, cwd: ctx.cwd, path: operatorPath(ctx.env) }
  try {
    return resolveGate(gate.argv, place)
  } catch (error) {
    throw gateFault(error, workflow, bead.bead_id, gate)
  }
}

/** What a program that cannot be started means when it is a gate's: not one stage goes on before somebody has mended it. */
export function gateFault(error: unknown, workflow: string, bead_id: string, gate: Gate): unknown {
  if (!(error instanceof SwarmError) || error.code !== 'DEPENDENCY') return error
  const { stage, name } = gate
  return new SwarmError(
    'DEPENDENCY',
    `the gate ${name} of stage ${stage} of workflow ${workflow} cannot be run: ${error.message}`,
    {
      area: 'configuration',
      ctx: { ...error.ctx, field: `workflows.${workflow}.stages.gate`, workflow, stage, bead_id, gate: name },
      fix: { cmd: 'workflows', name: workflow },
      retryable: false,
    },
  )
}

function otherGate(
  { workflow, bead }: HeldWork,
  stage: string,
  known: KnownGate | undefined,
  argv: readonly string[] | undefined,
): SwarmError {
  const there = known
    ? `the database has the gate ${known.name} (${short(known.hash)})`
    : 'the database has no gate'
  const here = argv ? `${known ? 'another one, ' : ''}${gateName(argv)} (${short(gateHash(argv))})` : 'none'
  return new SwarmError(
    'DEPENDENCY',
    `no gate is run: for stage ${stage} of workflow ${workflow} ${there}, and this root’s configuration has ${here}. Make .swarm/config.toml right, then \`swarm trust\` and \`swarm init-db\` in the directory that the repo belongs to`,
    {
      area: 'configuration',
      ctx: {
        field: `workflows.${workflow}.stages.gate`,
        workflow,
        stage,
        bead_id: bead.bead_id,
        expected: known?.hash ?? null,
        got: argv ? gateHash(argv) : null,
      },
      fix: { cmd: 'workflows', name: workflow },
      retryable: false,
    },
  )
}

/** As much of a hash as tells two gates apart in a sentence; the whole is in `ctx`. */
function short(hash: string): string {
  return hash.slice(0, 12)
}
