import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'

export default defineCommand({
  name: 'unsubscribe',
  group: 'look',
  summary: 'end a subscription, or another request of this pipe that still waits, by its rid',
  input: z.strictObject({
    target: z
      .union([z.string().max(256), z.int()])
      .optional()
      .describe('rid to end; the rid of this request by default'),
  }),
  output: z.object({ unsubscribed: z.union([z.string(), z.int()]) }),
  effect: 'read',
  needs: 'nothing',
  errors: ['NOTFOUND'],
  examples: [],
  async run(ctx, input) {
    const target = input.target ?? ctx.rid
    if (target === undefined) {
      throw new SwarmError('INVALID', 'rid is required: that of the subscription to end', {
        ctx: { kind: 'MissingField', field: 'rid', expected: 'text or an integer', got: 'nothing' },
      })
    }
    if (!ctx.cancel(target)) {
      throw new SwarmError('NOTFOUND', `no request with rid ${JSON.stringify(target)} is open in this pipe`, {
        ctx: { field: 'rid', got: target },
        fix: { cmd: 'subscribe', rid: target },
      })
    }
    return { unsubscribed: target }
  },
})
