import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { readFunction } from '../runtime/read.ts'

const counts = z.record(z.string(), z.int())

export default defineCommand({
  name: 'status',
  group: 'look',
  summary: 'the swarm in numbers',
  input: z.strictObject({}),
  output: z.object({
    repo: z.string(),
    swarm_status: z.enum(['initializing', 'running', 'paused', 'complete', 'error']),
    beads: counts.describe('how many in each status that occurs'),
    ready: z.int(),
    agents: counts.describe('how many in each status that occurs'),
    claims: z.int().describe('in progress'),
    oldest_claim: z.object({ bead_id: z.string(), agent_id: z.int(), held_ms: z.int() }).optional(),
    events_last_minute: z.int(),
    database: z.object({ kind: z.enum(['embedded', 'server']), version: z.string() }),
  }),
  effect: 'read',
  errors: [],
  examples: [
    {
      given: [
        { cmd: 'register', count: 2 },
        {
          cmd: 'enqueue',
          beads: [
            { bead_id: 'api', title: 'Write the API' },
            { bead_id: 'docs', title: 'Document the API', depends_on: ['api'] },
          ],
        },
        { cmd: 'claim-next', agent_id: 1 },
      ],
      in: { cmd: 'status' },
      out: {
        repo: '$string',
        swarm_status: 'running',
        beads: { pending: 1, in_progress: 1 },
        ready: 0,
        agents: { absent: 1, working: 1 },
        claims: 1,
        oldest_claim: { bead_id: 'api', agent_id: 1, held_ms: '$int' },
        events_last_minute: '$int',
        database: { kind: '$string', version: '$string' },
      },
    },
  ],
  run: (ctx) => readFunction(ctx, 'status_json', ctx.repo),
})
