import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, label, nothingToDo, text } from '../contract/fields.ts'
import { callerOf } from '../runtime/caller.ts'
import { readFunction } from '../runtime/read.ts'

export default defineCommand({
  name: 'next',
  group: 'work',
  summary: 'what would be claimed now and why, and why not the others; claims nothing',
  input: z.strictObject({
    agent_id: agentId
      .optional()
      .describe('for this agent and its role; absent and no SWARM_AGENT_ID: for one that may do all'),
    labels: z.array(label).min(1).max(64).optional().describe('only beads with all of these labels'),
    bead_types: z.array(text(64)).min(1).max(64).optional().describe('only beads of one of these types'),
  }),
  output: z.object({
    bead: z
      .object({ bead_id: z.string(), title: z.string(), priority: z.string(), labels: z.array(z.string()) })
      .nullable(),
    stage: z.string().optional(),
    attempt: z.int().optional(),
    feedback: z.string().optional(),
    held: z.boolean().optional().describe('true when the agent holds it already'),
    why: z.string().optional(),
    reason: z.enum(['empty', 'waiting', 'blocked', 'no_match', 'independent_reviewer', 'paused']).optional(),
    ...nothingToDo,
    others: z
      .array(z.object({ bead_id: z.string(), why_not: z.string() }))
      .describe('the next five in order'),
  }),
  effect: 'read',
  speakers: [],
  errors: ['NOTFOUND'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 1, role: 'planner' },
        {
          cmd: 'enqueue',
          beads: [
            { bead_id: 'api', title: 'Write the API' },
            { bead_id: 'docs', title: 'Document the API', depends_on: ['api'] },
          ],
        },
      ],
      in: { cmd: 'next', agent_id: 1 },
      out: {
        bead: { bead_id: 'api', title: 'Write the API', priority: 'p2', labels: [] },
        stage: 'contract',
        attempt: 1,
        held: false,
        why: '$string',
        others: [{ bead_id: 'docs', why_not: 'waits for api' }],
      },
    },
    {
      given: [{ cmd: 'register', count: 1 }],
      in: { cmd: 'next', agent_id: 1 },
      out: { bead: null, reason: 'empty', done: 0, blocked: 0, in_progress: 0, pending: 0, others: [] },
    },
  ],
  run: (ctx, input) =>
    readFunction(ctx, 'next_bead', ctx.repo, { ...input, agent_id: input.agent_id ?? callerOf(ctx) }),
})
