import * as z from 'zod'
import { text } from './fields.ts'

const ms = (most: number) => z.int().min(100).max(most)
const counts = z.record(text(64), z.int().min(0).max(10_000))

const words = z.array(z.string().min(1).max(4_096)).min(1).max(64)

/** `[orchestrator]` of `.swarm/config.toml`: how a run is driven. Only `workspace_command` decides what is executed: it is an active key. */
export const orchestratorSchema = z.strictObject({
  tick_ms: ms(3_600_000)
    .optional()
    .describe('how often the leader looks at everything; events wake it earlier; 60,000 by default'),
  database_away_ms: ms(604_800_000)
    .optional()
    .describe(
      'a database that has not answered for so long is given up: `up` and `worker` end; 600,000 by default',
    ),
  qa_every_ms: ms(604_800_000)
    .optional()
    .describe('how often the leader checks finished turns and running sessions; 900,000 by default'),
  waves: z.enum(['rolling', 'strict']).optional(),
  allow_ungated: z.boolean().optional().describe('land work of workflows that have no gate'),
  workspace: z
    .enum(['worktree', 'none', 'command'])
    .optional()
    .describe('a git worktree for each bead (by default), the root itself, or what workspace_command makes'),
  workspace_command: z
    .strictObject({
      create: words.describe('makes the worktree or clone at SWARM_WORKSPACE'),
      remove: words.optional().describe('removes it again; git and rm do when absent'),
      timeout_ms: ms(3_600_000).optional().describe('of each; 120,000 by default'),
    })
    .optional(),
  min_free_disk_mb: z.int().min(0).optional().describe('with less, nothing new is started; 512 by default'),
  attempts_per_bead: z
    .int()
    .min(1)
    .max(1_000)
    .optional()
    .describe('sessions that may fail over the life of a bead; 8 by default'),
  spawn_per_tick: z.int().min(1).max(1_000).optional(),
  limits: z
    .strictObject({
      run: z.int().min(1).optional(),
      host: z.int().min(1).optional(),
      role: counts.optional(),
      adapter: counts.optional(),
    })
    .optional()
    .describe('sessions at once'),
  budgets: z
    .strictObject({
      run_usd: z.number().positive().optional(),
      run_tokens: z.int().min(1).optional(),
      day_usd: z.number().positive().optional(),
      day_tokens: z.int().min(1).optional(),
      bead_usd: z.number().positive().optional(),
      bead_tokens: z.int().min(1).optional(),
      account_usd: z.number().positive().optional().describe('of each account, a day'),
      account_tokens: z.int().min(1).optional(),
      run_ms: z.int().min(1_000).optional().describe('wall time since the run began'),
      bead_ms: z.int().min(1_000).optional().describe('wall time of all sessions of a bead'),
    })
    .optional()
    .describe('tokens are input, output and cache writes'),
  stuck: z
    .strictObject({
      no_output_ms: ms(86_400_000).optional(),
      no_tool_ms: ms(86_400_000).optional(),
      open_tool_ms: ms(86_400_000).optional(),
      steer_ms: ms(86_400_000).optional(),
    })
    .optional(),
})

/** The command is needed by its kind of workspace, and would do nothing with another. */
export function checkWorkspace(
  { workspace, workspace_command }: z.output<typeof orchestratorSchema>,
  ctx: z.RefinementCtx,
): void {
  if ((workspace === 'command') === (workspace_command !== undefined)) return
  ctx.addIssue({
    code: 'custom',
    path: ['workspace_command'],
    message: workspace_command
      ? 'it is used with workspace = "command" only'
      : 'workspace = "command" needs it, like { create = ["./make-workspace"] }',
  })
}

export type OrchestratorConfig = z.output<typeof orchestratorSchema>
