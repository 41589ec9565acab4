import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { beadId } from '../contract/fields.ts'
import { sessionId } from '../contract/run-rows.ts'
import { repoOf } from '../root/config.ts'

const DEFAULT_BYTES = 131_072

export default defineCommand({
  name: 'diff',
  group: 'run',
  summary:
    'what a bead changes: its landed commit, else what is committed in its worktree or was by its last session',
  input: z.strictObject({
    bead_id: beadId,
    session_id: sessionId.optional().describe('as this session left it'),
    max_bytes: z
      .int()
      .min(1_024)
      .max(524_288)
      .default(DEFAULT_BYTES)
      .describe(`of the patch; ${DEFAULT_BYTES} by default`),
  }),
  output: z.object({
    bead_id: z.string(),
    of: z.enum(['landed', 'session', 'branch']),
    session_id: z.string().optional(),
    base: z.string(),
    commit: z.string(),
    files: z
      .array(z.object({ path: z.string(), added: z.int().optional(), removed: z.int().optional() }))
      .describe('without counts: no text, or large; the first 500'),
    more_files: z.boolean(),
    patch: z.string(),
    cut: z.boolean().describe('the patch goes on after this'),
  }),
  effect: 'read',
  // what it reads is what logs, feedback and artifacts of the same bead tell too
  hostBound: false,
  alone: true,
  errors: ['NOTFOUND'],
  positional: ['bead_id'],
  examples: [],
  async run(ctx, input) {
    if (!ctx.root || repoOf(ctx.root) !== ctx.repo)
      throw new SwarmError('NOTFOUND', `the repository of ${ctx.repo} is not here`, {
        ctx: { field: 'repo', got: ctx.repo },
      })
    const { diffOfBead } = await import('../orchestrator/diff.ts')
    return diffOfBead(ctx, input)
  },
})
