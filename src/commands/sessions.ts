import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, beadId } from '../contract/fields.ts'
import { runId, sessionId, sessionRow } from '../contract/run-rows.ts'
import { limit } from '../runtime/page.ts'
import { readFunction } from '../runtime/read.ts'

const STATUSES = [
  'open',
  'assigned',
  'starting',
  'ready',
  'running',
  'held',
  'asking',
  'ending',
  'ended',
] as const

export default defineCommand({
  name: 'sessions',
  group: 'run',
  summary: 'agent sessions: the open ones first, then the latest',
  input: z.strictObject({
    run_id: runId.optional(),
    session_id: sessionId.optional(),
    agent_id: agentId.optional(),
    bead_id: beadId.optional(),
    status: z.enum(STATUSES).optional().describe('open stands for all that have not ended'),
    limit: limit(50),
  }),
  output: z.object({ sessions: z.array(sessionRow) }),
  effect: 'read',
  errors: [],
  examples: [{ in: { cmd: 'sessions' }, out: { sessions: [] } }],
  async run(ctx, input) {
    const { rows } = await readFunction<{ rows: z.output<typeof sessionRow>[] }>(
      ctx,
      'sessions_json',
      ctx.repo,
      defined(input),
    )
    return { sessions: rows }
  },
})

function defined(input: object) {
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined))
}
