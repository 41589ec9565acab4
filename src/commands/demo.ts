import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { text } from '../contract/fields.ts'

const DEFAULT_SEED = 70

export default defineCommand({
  name: 'demo',
  group: 'other',
  summary: 'watch four agents work through a backlog in a scratch directory while one of them is killed',
  input: z.strictObject({
    path: text(4_096).optional().describe('JSON lines of a beads tracker; an example by default'),
    seed: z.int().min(0).max(2_147_483_647).optional().describe('another seed, other failures'),
  }),
  output: z.object({
    reason: z.literal('shutdown').optional(),
    beads: z.int().optional(),
    completed: z.int().optional(),
    blocked: z.int().optional(),
    left: z.int().optional(),
    retried: z.int().optional(),
    claims: z.int().optional(),
    events: z.int().optional(),
    messages: z.int().optional(),
    worked_ms: z.int().optional(),
    invariants: z
      .object({ lost: z.int(), doubled: z.int(), leases: z.int(), miscounted: z.int() })
      .optional(),
    killed: z.record(z.string(), z.json()).optional().describe('how the killed agent’s bead was taken over'),
  }),
  effect: 'local',
  needs: 'nothing',
  errors: [],
  positional: ['path'],
  examples: [],
  waits: () => true,
  async run(ctx, { path, seed = DEFAULT_SEED }) {
    const { runDemo } = await import('../demo/index.ts')
    const { cwd, env, signal } = ctx
    return runDemo({
      path,
      seed,
      cwd,
      env,
      signal,
      out: process.stderr,
      swarm: [process.execPath, launcher()],
    })
  },
})

/** `bin/swarm` beside the bundle, or beside the sources. */
function launcher(): string {
  const beside = join(__dirname, '..', 'bin', 'swarm')
  return existsSync(beside) ? beside : join(__dirname, '..', '..', 'bin', 'swarm')
}
