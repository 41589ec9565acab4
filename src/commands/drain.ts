import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { text } from '../contract/fields.ts'
import { reason } from '../contract/run-rows.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'drain',
  group: 'run',
  summary: 'a host takes no new sessions and finishes its own; with off it takes new ones again',
  input: z.strictObject({
    host: text(200).describe(
      'a host_id of ps, or the name of a machine: all hosts that are on it, or start there later',
    ),
    off: z.boolean().optional().describe('take new sessions again'),
    reason: reason.optional(),
  }),
  output: z.object({
    hosts: z.array(
      z.object({
        host_id: z.string(),
        name: z.string(),
        draining: z.boolean(),
        sessions: z.int().describe('that are still open'),
      }),
    ),
  }),
  effect: 'write',
  errors: ['NOTFOUND'],
  positional: ['host'],
  examples: [
    {
      in: { cmd: 'drain', host: 'builder-1', dry: true },
      out: { dry: true, would_do: ['let builder-1 finish its sessions and take no new ones'] },
    },
  ],
  run: (ctx, input) => write(ctx, 'drain', input),
  dry: async (_ctx, { host, off }) => [
    off ? `let ${host} take new sessions again` : `let ${host} finish its sessions and take no new ones`,
  ],
})
