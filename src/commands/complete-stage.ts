import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import {
  agentId,
  artifactType,
  beadId,
  fence,
  LIMITS,
  metadata,
  OUTCOMES,
  stageName,
  TRANSITIONS,
  text,
  unread,
} from '../contract/fields.ts'
import { holderWrite } from '../runtime/write.ts'

const artifact = z.strictObject({
  artifact_type: artifactType,
  content: z.string().max(LIMITS.content),
  metadata: metadata.optional(),
})
const evidence = z.strictObject({
  command: text(4_096).describe('what was run'),
  exit_code: z.int(),
  output: z.string().max(LIMITS.content).optional(),
  commit: text(100).optional(),
})

const output = z.object({
  transition: z.enum(TRANSITIONS),
  stage: z.string().describe('the stage that the bead is at now'),
  attempt: z.int(),
  kept: z.boolean().describe('true when the agent still holds it, for that stage'),
  unread,
})

export default defineCommand({
  name: 'complete-stage',
  group: 'loop',
  summary: 'say how the stage ended; the answer says what is next',
  input: z
    .strictObject({
      agent_id: agentId,
      outcome: z.enum(OUTCOMES),
      bead_id: beadId.optional().describe('the held one by default'),
      stage: stageName.optional().describe('the current one by default; another is a CONFLICT'),
      fence: fence.optional(),
      feedback: text(LIMITS.feedback)
        .optional()
        .describe('required unless passed: what the next attempt must know'),
      artifacts: z.array(artifact).max(100).optional(),
      evidence: z.array(evidence).max(100).optional(),
    })
    .refine((input) => input.outcome === 'passed' || input.feedback !== undefined, {
      path: ['feedback'],
      error: 'is required unless the outcome is passed',
    }),
  output,
  effect: 'write',
  role: 'agent',
  errors: ['NOTFOUND', 'CONFLICT'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 1 },
        { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
        { cmd: 'claim-next', agent_id: 1 },
      ],
      in: { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' },
      out: { transition: 'advance', stage: 'implement', attempt: 1, kept: true },
    },
  ],
  run: (ctx, input) =>
    holderWrite<z.output<typeof output>>(ctx, 'complete-stage', input, {}, { ended: ({ kept }) => !kept }),
  dry: async (_ctx, input) => [
    `complete ${input.stage ?? 'the current stage'} of ${input.bead_id ?? 'the held bead'} as ${input.outcome}`,
  ],
})
