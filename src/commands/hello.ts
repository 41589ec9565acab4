import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { ROLES } from '../contract/roles.ts'

export default defineCommand({
  name: 'hello',
  group: 'set up',
  summary: 'show a token once: from then on this pipe speaks for its holder',
  input: z.strictObject({
    token: z.string().min(1).max(200).describe('as register or token create answered it'),
  }),
  output: z.object({
    repo: z.string(),
    role: z.enum(ROLES),
    agent_id: z.int().optional().describe('what an absent agent_id means from now on'),
    name: z.string().optional(),
    expires_at: z.string().optional(),
  }),
  effect: 'local',
  needs: 'database',
  role: 'anyone',
  errors: ['UNAUTHORIZED', 'CONFLICT'],
  examples: [],
  dry: async () => ['speak for the holder of the token from now on'],
  async run(ctx, { token }) {
    const { repo, role, agent_id, name, expires_at } = await ctx.authenticate(token)
    return {
      repo,
      role,
      ...(agent_id === undefined ? {} : { agent_id }),
      ...(name === undefined ? {} : { name }),
      ...(expires_at === undefined ? {} : { expires_at }),
    }
  },
})
