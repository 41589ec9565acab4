import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import type { Json, JsonObject } from '../contract/json.ts'
import { createHoldings } from '../runtime/holdings.ts'

const timings = z.object({ count: z.int(), per_second: z.number(), p50_ms: z.number(), p95_ms: z.number() })
const claimed = z.object({ bead: z.unknown() })
const completed = z.object({ transition: z.string(), kept: z.boolean() })

export default defineCommand({
  name: 'load-profile',
  group: 'compat',
  summary:
    'how fast this database claims and completes: a bounded load in a repo of its own, removed afterwards',
  input: z.strictObject({
    agents: z.int().min(1).max(64).default(8).describe('how many work at the same time'),
    rounds: z.int().min(1).max(1_000).default(20).describe('beads per agent, each through all stages'),
    timeout_ms: z.int().min(100).max(300_000).default(30_000).describe('begin nothing more after so many ms'),
  }),
  output: z.object({
    agents: z.int(),
    beads: z.int(),
    finished: z.int(),
    claims: timings,
    completions: timings,
    elapsed_ms: z.int(),
    errors: z.int(),
    first_error: z.string().optional(),
    timed_out: z.boolean(),
  }),
  effect: 'write',
  hostBound: true,
  alone: true,
  reach: () => 'database',
  errors: [],
  examples: [
    {
      in: { cmd: 'load-profile', agents: 2, rounds: 1 },
      out: {
        agents: 2,
        beads: 2,
        finished: 2,
        claims: '$any',
        completions: '$any',
        errors: 0,
        timed_out: false,
      },
    },
  ],
  async run(ctx, { agents, rounds, timeout_ms }) {
    const repo = `load-profile-${randomName()}`
    const beads = agents * rounds
    const auditFrom = await lastAudit(ctx)
    try {
      await ctx.execute({ cmd: 'register', repo, count: agents })
      for (let from = 0; from < beads; from += ENQUEUE_AT_ONCE) {
        await ctx.execute({
          cmd: 'enqueue',
          repo,
          beads: titles(from, Math.min(beads, from + ENQUEUE_AT_ONCE)),
        })
      }
      const load = createLoad(ctx, repo, beads, timeout_ms)
      await Promise.all(Array.from({ length: agents }, (_, at) => load.work(at + 1)))
      return { agents, beads, ...load.result() }
    } finally {
      await remove(ctx, repo, auditFrom)
    }
  },
  dry: async (_ctx, { agents, rounds }) => [
    `put ${agents * rounds} beads through all stages in a repo that is removed afterwards`,
  ],
})

const ENQUEUE_AT_ONCE = 500

/** The agents of one run, each a loop of claims and completions through this process's connections. */
function createLoad(ctx: CommandContext, repo: string, beads: number, timeoutMs: number) {
  // claims of the load stay out of the process's own: nothing of it is renewed
  const holdings = createHoldings()
  const claims: number[] = []
  const completions: number[] = []
  const started = performance.now()
  let finished = 0
  let errors = 0
  let firstError: string | undefined
  const over = () => ctx.signal.aborted || performance.now() - started > timeoutMs
  const send = async (times: number[], request: JsonObject): Promise<Json> => {
    const sent = performance.now()
    const d = await ctx.execute({ ...request, repo }, { holdings })
    times.push(performance.now() - sent)
    return d
  }

  return {
    async work(agent: number): Promise<void> {
      try {
        while (!over()) {
          const claim = claimed.parse(await send(claims, { cmd: 'claim-next', agent_id: agent }))
          if (claim.bead === null) {
            // what others hold comes back to be checked by somebody else
            if (finished === beads || errors > 0) return
            await ctx.db.waitForChange(repo, 1_000, ctx.signal)
            continue
          }
          for (let kept = true; kept && !over(); ) {
            const pass = { cmd: 'complete-stage', agent_id: agent, outcome: 'passed' }
            const done = completed.parse(await send(completions, pass))
            kept = done.kept
            if (done.transition === 'finalize') finished += 1
          }
        }
      } catch (error) {
        errors += 1
        firstError ??= error instanceof Error ? error.message : String(error)
      }
    },
    result() {
      const elapsed = performance.now() - started
      return {
        finished,
        claims: summary(claims, elapsed),
        completions: summary(completions, elapsed),
        elapsed_ms: Math.round(elapsed),
        errors,
        ...(firstError === undefined ? {} : { first_error: firstError }),
        timed_out: elapsed > timeoutMs,
      }
    },
  }
}

function summary(times: readonly number[], elapsedMs: number): z.output<typeof timings> {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0)
  return {
    count: sorted.length,
    per_second: round((sorted.length * 1_000) / elapsedMs),
    p50_ms: at(0.5),
    p95_ms: at(0.95),
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

function titles(from: number, to: number): JsonObject[] {
  return Array.from({ length: to - from }, (_, at) => ({ bead_id: `load-${from + at + 1}`, title: 'load' }))
}

function randomName(): string {
  return Array.from({ length: 4 }, () =>
    Math.floor(Math.random() * 65_536)
      .toString(16)
      .padStart(4, '0'),
  ).join('')
}

async function lastAudit(ctx: CommandContext): Promise<number> {
  const [row] = await ctx.db.read<{ seq: number }>(
    'select coalesce(max(seq), 0)::float8 as seq from swarm.command_audit',
  )
  return row?.seq ?? 0
}

/** Removes the repo of the load, and those of runs that were killed long ago. Other repos are refused by the function. */
async function remove(ctx: CommandContext, repo: string, auditFrom: number): Promise<void> {
  await ctx.db.read('select swarm.forget_load_profile($1, $2::bigint) as removed', [repo, auditFrom])
}
