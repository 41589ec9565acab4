import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { questionRow } from '../contract/run-rows.ts'

export default defineCommand({
  name: 'questions',
  group: 'run',
  summary: 'what agents have asked and nobody has answered, oldest first',
  input: z.strictObject({}),
  output: z.object({ questions: z.array(questionRow) }),
  effect: 'read',
  errors: [],
  examples: [{ in: { cmd: 'questions' }, out: { questions: [] } }],
  async run(ctx) {
    const [row] = await ctx.db.read<{ d: z.output<typeof questionRow>[] }>(
      `select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('question_id', question_id, 'session_id', session_id, 'bead_id', bead_id,
          'agent_id', agent_id, 'question', text, 'options', options, 'asked_at', swarm.iso(asked_at))) order by asked_at), '[]') as d
        from swarm.questions where repo_id = $1 and answered_at is null`,
      [ctx.repo],
    )
    return { questions: row?.d ?? [] }
  },
})
