import * as z from 'zod'
import { agentPrompt } from '../agents/prompt.ts'
import { defineCommand } from '../contract/command.ts'
import { agentId, role } from '../contract/fields.ts'
import { callerOf, namedRepo } from '../runtime/caller.ts'

export default defineCommand({
  name: 'prompt',
  group: 'other',
  summary: 'what to tell a language model so that it works as an agent; at most 1,500 bytes',
  input: z.strictObject({
    agent_id: agentId.optional().describe('a registered one; absent, the agent registers itself'),
    role: role.optional(),
  }),
  output: z.object({ agent_id: z.int().optional(), role: z.string().optional(), prompt: z.string() }),
  effect: 'read',
  role: 'observer',
  // it tells what stands in the prompt, and nothing of this machine
  hostBound: false,
  needs: 'nothing',
  errors: [],
  examples: [
    {
      in: { cmd: 'prompt', agent_id: 3, role: 'implementer' },
      out: { agent_id: 3, role: 'implementer', prompt: '$string' },
    },
  ],
  async run(ctx, input) {
    const { agent_id = callerOf(ctx), ...rest } = input
    const prompt = agentPrompt({
      agentId: agent_id,
      role: rest.role,
      repo: namedRepo(ctx),
      contractPath: ctx.root?.config.contract_path,
      render: ctx.render,
    })
    return { ...(agent_id === undefined ? {} : { agent_id }), ...rest, prompt }
  },
})
