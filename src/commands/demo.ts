import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { text } from '../contract/fields.ts'

const DEFAULT_SEED = 70

export default defineCommand({
  name: 'demo',
  group: 'other',
  summary: 'watch swarm up land a backlog in a scratch repository while an agent and the leader are killed',
  input: z.strictObject({
    path: text(4_096).optional().describe('JSON lines of a beads tracker; an example by default'),
    seed: z.int().min(0).max(2_147_483_647).optional().describe('another seed, other work is refused'),
  }),
  output: z.object({
    reason: z.literal('shutdown').optional(),
    beads: z.int().optional(),
    landed: z.int().optional(),
    blocked: z.int().optional(),
    left: z.int().optional().describe('they wait for beads that are blocked or deferred'),
    sessions: z.int().optional(),
    retried: z.int().optional(),
    worked_ms: z.int().optional(),
    checks: z
      .array(z.object({ name: z.string(), ok: z.boolean(), told: z.string() }))
      .optional()
      .describe('rows held against git, gates and what is left'),
    killed: z
      .object({ agent: z.json().optional(), leader: z.json().optional() })
      .optional()
      .describe('who was killed and how it went on'),
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
