import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { cursorName, fence, logPosition } from '../contract/fields.ts'
import { parseCursor, readLog } from '../events/cursor.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'ack-cursor',
  group: 'look',
  summary: 'say up to where a named cursor has been dealt with; that is not sent again',
  input: z.strictObject({
    cursor: cursorName,
    at: logPosition.describe('the cursor of the last item that you dealt with'),
    fence: fence.optional().describe('of the subscription; filled in by the pipe that holds it'),
  }),
  output: z.object({ cursor: z.string(), acked: z.int() }),
  effect: 'write',
  role: 'agent',
  errors: ['CONFLICT', 'NOTFOUND'],
  examples: [
    {
      given: [{ cmd: 'subscribe', rid: 's', cursor: 'mailer', until: 'idle:1s' }],
      in: { cmd: 'ack-cursor', cursor: 'mailer', at: 0 },
      out: { cursor: 'mailer', acked: 0 },
    },
  ],
  async run(ctx, input) {
    const log = await readLog(ctx.db)
    const at = typeof input.at === 'number' ? input.at : parseCursor(input.at, log, 'at')
    const own = ctx.cursors.get(`${ctx.repo}/${input.cursor}`)
    return write(ctx, 'ack-cursor', { ...input, at }, own === undefined ? {} : { fence: own })
  },
})
