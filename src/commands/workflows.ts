import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { text } from '../contract/fields.ts'

const workflow = z.object({
  name: z.string(),
  stages: z.array(
    z.object({
      stage: z.string(),
      roles: z.array(z.string()).optional().describe('who may do it; anybody when absent'),
      gate: z.string().optional().describe('what the command is called whose exit code decides'),
      gate_hash: z
        .string()
        .optional()
        .describe('SHA-256 of its words, which stand in the root’s configuration'),
      timeout_ms: z.int().optional().describe('of the gate'),
      on_pass: z.string(),
      on_fail: z.string(),
      max_attempts: z.int().describe('a failure after so many blocks the bead'),
      independent: z
        .enum(['prefer', 'require'])
        .optional()
        .describe('not for the agent whose work it checks; prefer: unless nobody else is there'),
    }),
  ),
})

export default defineCommand({
  name: 'workflows',
  group: 'look',
  summary: 'the workflows: stages in order, with roles, gates and limits',
  input: z.strictObject({ name: text(64).optional() }),
  output: z.object({ workflows: z.array(workflow) }),
  effect: 'read',
  errors: [],
  positional: ['name'],
  examples: [
    {
      given: [{ cmd: 'register', count: 1 }],
      in: { cmd: 'workflows' },
      out: {
        workflows: [
          {
            name: 'default',
            stages: [
              {
                stage: 'contract',
                roles: ['planner', 'test_writer'],
                on_pass: 'implement',
                on_fail: 'contract',
                max_attempts: 3,
              },
              {
                stage: 'implement',
                roles: ['implementer'],
                on_pass: 'qa',
                on_fail: 'implement',
                max_attempts: 3,
              },
              {
                stage: 'qa',
                roles: ['reviewer'],
                on_pass: 'red-queen',
                on_fail: 'implement',
                max_attempts: 3,
                independent: 'prefer',
              },
              {
                stage: 'red-queen',
                roles: ['reviewer'],
                on_pass: 'done',
                on_fail: 'implement',
                max_attempts: 3,
                independent: 'prefer',
              },
            ],
          },
        ],
      },
    },
  ],
  async run(ctx, input) {
    const rows = await ctx.db.read<{ workflow: z.output<typeof workflow> }>(
      `select jsonb_build_object('name', w.name, 'stages', coalesce((
         select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('stage', s.stage, 'roles', to_jsonb(s.role), 'gate', s.gate, 'gate_hash', s.gate_hash,
             'timeout_ms', case when s.gate_hash is not null then s.timeout_ms end, 'on_pass', coalesce(s.on_pass, s.following, 'done'),
             'on_fail', coalesce(s.on_fail, s.stage), 'max_attempts', coalesce(s.max_attempts, c.max_implementation_attempts), 'independent', s.independent))
           order by s.position)
         from (select *, lead(stage) over (order by position) as following from swarm.workflow_stages
               where repo_id = w.repo_id and name = w.name) s, swarm.swarm_config c), '[]')) as workflow
       from swarm.workflows w where w.repo_id = $1 and ($2::text is null or w.name = $2) order by w.name`,
      [ctx.repo, input.name ?? null],
    )
    return { workflows: rows.map((row) => row.workflow) }
  },
})
