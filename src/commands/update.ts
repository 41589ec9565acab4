import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { beadId, fence, LIMITS, labels, metadata, priority, text } from '../contract/fields.ts'
import { ownClaim } from '../runtime/holdings.ts'
import { write } from '../runtime/write.ts'

/** The statuses that a person sets; the others are what claiming and completing decide. */
const settable = z.enum(['pending', 'blocked', 'deferred', 'failed', 'cancelled'], {
  error: (issue) => {
    if (issue.input === 'in_progress') return 'is set by claim-next or assign'
    if (issue.input === 'completed') return 'is set by complete-stage, when the last stage has passed'
    return undefined
  },
})

export default defineCommand({
  name: 'update',
  group: 'work',
  summary: 'change what a bead says, what it depends on, or its status',
  input: z.strictObject({
    bead_id: beadId,
    title: text(LIMITS.title).optional(),
    description: z.string().max(LIMITS.description).optional(),
    priority: priority.optional(),
    labels: labels.optional().describe('all of them; replaces the old ones'),
    depends_on: z.array(beadId).max(1_000).optional().describe('all of them; replaces the old ones'),
    status: settable.optional().describe('ends a claim'),
    bead_type: text(64).optional().describe('task, bug, feature, epic, or your own'),
    metadata: metadata.optional().describe('replaces the old one'),
    reason: text(LIMITS.reason).optional().describe('kept in the event'),
    fence: fence.optional().describe('under an agent’s token: of its claim, where another process has it'),
  }),
  output: z.object({
    bead_id: z.string(),
    changed: z.array(z.string()).describe('names of the fields that are different now'),
  }),
  effect: 'write',
  // what a bead holds beside its description is its holder's to write; the database sees to it that it is held
  role: ({ bead_id: _, fence: __, ...fields }) =>
    Object.entries(fields).every(([name, value]) => name === 'metadata' || value === undefined) &&
    fields.metadata !== undefined
      ? 'agent'
      : 'operator',
  errors: ['NOTFOUND', 'CONFLICT'],
  positional: ['bead_id'],
  examples: [
    {
      given: [{ cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] }],
      in: { cmd: 'update', bead_id: 'api', priority: 'p0', labels: ['urgent'] },
      out: { bead_id: 'api', changed: ['priority', 'labels'] },
    },
    {
      given: [
        { cmd: 'enqueue', beads: [{ title: 'Write the API', bead_id: 'api' }] },
        { cmd: 'enqueue', beads: [{ title: 'Document the API', bead_id: 'docs' }] },
      ],
      in: { cmd: 'update', bead_id: 'docs', depends_on: ['api'], status: 'deferred' },
      out: { bead_id: 'docs', changed: ['depends_on', 'status'] },
    },
  ],
  run(ctx, input) {
    const agentId = ctx.principal?.agent_id
    const own = agentId === undefined ? undefined : ownClaim(ctx, agentId)
    const isOwn = own !== undefined && own.bead_id === input.bead_id
    return write(ctx, 'update', input, isOwn ? { fence: own.fence } : {})
  },
  async dry(_ctx, input) {
    const { bead_id, ...fields } = input
    const names = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [name]))
    return [`change ${names.join(', ') || 'nothing'} of bead ${bead_id}`]
  },
})
