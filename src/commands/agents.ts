import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { AGENT_STATUSES, agentId, role } from '../contract/fields.ts'
import { agentRow } from '../contract/rows.ts'
import { full, limit, more, pageOf } from '../runtime/page.ts'

type AgentRow = z.output<typeof agentRow>

export default defineCommand({
  name: 'agents',
  group: 'look',
  summary: 'list agents with what they hold',
  input: z.strictObject({
    status: z.enum(AGENT_STATUSES).optional().describe('absent: registered by number, and never came'),
    role: role.optional(),
    agent_id: agentId.optional().describe('this one only'),
    limit: limit(50),
    after: agentId.optional().describe('cursor of the last answer'),
    full,
  }),
  output: z.object({
    agents: z.array(agentRow),
    more,
    cursor: z.int().optional().describe('give it as `after` next time'),
  }),
  effect: 'read',
  speakers: [],
  errors: [],
  examples: [
    {
      given: [{ cmd: 'register', count: 2, role: 'reviewer' }],
      in: { cmd: 'agents', limit: 1 },
      out: {
        agents: [{ agent_id: 1, role: 'reviewer', status: 'absent', last_update: '$time' }],
        more: true,
        cursor: 1,
      },
    },
  ],
  async run(ctx, input) {
    const rows = await ctx.db.read<{ agent: AgentRow }>(
      `select swarm.agent_json(s, $6::boolean) as agent from swarm.agent_state s
       where s.repo_id = $1 and ($2::text is null or swarm.agent_status(s) = $2) and ($3::text is null or s.role = $3)
         and ($4::integer is null or s.agent_id > $4::integer) and ($7::integer is null or s.agent_id = $7::integer)
       order by s.agent_id limit $5::integer`,
      [
        ctx.repo,
        input.status ?? null,
        input.role ?? null,
        input.after ?? null,
        input.limit + 1,
        input.full ?? false,
        input.agent_id ?? null,
      ],
    )
    const { rows: agents, ...page } = pageOf(
      rows.map((row) => row.agent),
      input.limit,
      (agent) => agent.agent_id,
    )
    return { agents, ...page }
  },
})
