import * as z from 'zod'
import { agentsConfigSchema } from './agents-config.ts'
import { stageName, text } from './fields.ts'
import { httpSchema } from './http-config.ts'
import { landingSchema } from './landing-config.ts'
import { notifySchema } from './notify-config.ts'
import { checkWorkspace, orchestratorSchema } from './orchestrator-config.ts'
import { rulesSchema } from './rules-config.ts'

const makeStage = () =>
  z.strictObject({
    name: stageName,
    roles: z.array(text(64)).optional().describe('who may do it; anybody when absent'),
    gate: z.array(z.string()).min(1).optional().describe('command and arguments whose exit code decides'),
    gate_files: z
      .array(z.string().min(1).max(500))
      .max(100)
      .optional()
      .describe(
        'patterns of the files that the gate is made of, like test/**: under swarm up, work that changes one fails; those that the gate’s words name by default',
      ),
    timeout_ms: z
      .int()
      .min(1)
      .max(86_400_000)
      .optional()
      .describe('how long the gate may run; 3,000 by default'),
    on_pass: stageName.optional().describe('the next stage; the following one by default'),
    on_fail: stageName.optional().describe('where a failure goes back to; the stage itself by default'),
    max_attempts: z.int().min(1).max(1_000).optional(),
    independent: z
      .enum(['prefer', 'require'])
      .optional()
      .describe('not for the agent whose work it checks; prefer: unless nobody else is there'),
  })

const makeWorkflow = () => z.strictObject({ stages: z.array(makeStage()).min(1) }).superRefine(checkStages)

/** Where stages lead must be a stage of the same workflow; `done` is the end and no stage. */
function checkStages({ stages }: { readonly stages: readonly StageConfig[] }, ctx: z.RefinementCtx): void {
  const names = stages.map(({ name }) => name)
  const refuse = (at: number, key: string, message: string) =>
    ctx.addIssue({ code: 'custom', path: ['stages', at, key], message })
  for (const [at, { name, on_pass, on_fail }] of stages.entries()) {
    if (name === 'done') refuse(at, 'name', 'done is the end, not a stage')
    if (names.indexOf(name) !== at) refuse(at, 'name', `${name} stands twice`)
    if (on_pass !== undefined && on_pass !== 'done' && !names.includes(on_pass))
      refuse(at, 'on_pass', `there is no stage ${on_pass}`)
    if (on_fail !== undefined && !names.includes(on_fail))
      refuse(at, 'on_fail', `there is no stage ${on_fail}`)
  }
  const next = (at: number) => {
    const on_pass = stages[at]?.on_pass
    return on_pass === undefined ? at + 1 : names.indexOf(on_pass)
  }
  for (const [at, { on_pass }] of stages.entries()) {
    if (on_pass === undefined || names.indexOf(on_pass) > at || names.indexOf(on_pass) < 0) continue
    let stage = next(at)
    // each step leads somewhere else, or the way is a circle without this stage
    for (let step = 0; step < stages.length && stage !== at && stage >= 0; step++) stage = next(stage)
    if (stage === at) refuse(at, 'on_pass', `a bead that passes every stage would come back here for ever`)
  }
}

/** `.swarm/config.toml`. Every key is optional; unknown keys are refused. */
export const configSchema = z.strictObject({
  repo: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/, { error: 'must be letters, digits and . _ / -' })
    .optional(),
  auth: z.enum(['cooperative', 'tokens']).optional(),
  database_url: z.string().optional(),
  listen_url: z.string().optional(),
  connect_timeout_ms: z.int().min(100).max(30_000).optional(),
  statement_timeout_ms: z.int().min(100).max(3_600_000).optional(),
  max_line_bytes: z.int().min(1_024).max(67_108_864).optional(),
  max_hold_ms: z.int().min(1_000).optional(),
  // it stands in the prompt of agents, also of a repository that nobody has trusted: a path of the tree, and no words
  contract_path: z
    .string()
    .max(200)
    .regex(/^(?!\/)(?!(?:.*\/)?\.\.(?:\/|$))[\w.<>@+/-]+$/, {
      error: 'must be a path below the root, of letters, digits and . _ - + @ / and <bead>',
    })
    .optional(),
  retention: z
    .string()
    .regex(/^\d{1,6}[mhd]$/, { error: 'must be an age like 30d or 12h' })
    .optional(),
  audit_retention: z
    .string()
    .regex(/^\d{1,6}[mhd]$/, { error: 'must be an age like 30d or 12h' })
    .optional(),
  idle_stop_ms: z.int().min(1_000).optional(),
  // made only for a file that has some: every start reads this
  workflows: z.lazy(() => z.record(text(64), makeWorkflow())).optional(),
  agents: z.lazy(() => agentsConfigSchema).optional(),
  rules: z.lazy(() => rulesSchema).optional(),
  orchestrator: z.lazy(() => orchestratorSchema.superRefine(checkWorkspace)).optional(),
  landing: z.lazy(() => landingSchema).optional(),
  http: z.lazy(() => httpSchema).optional(),
  notify: z.lazy(() => notifySchema).optional(),
})

export type SwarmConfig = z.output<typeof configSchema>
export type StageConfig = z.output<ReturnType<typeof makeStage>>
