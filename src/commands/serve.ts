import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { text } from '../contract/fields.ts'

export default defineCommand({
  name: 'serve',
  group: 'run',
  summary: 'answer HTTP: REST, streams, sockets and the page, until told to stop',
  input: z.strictObject({
    host: text(255)
      .default('127.0.0.1')
      .describe('address to listen on; elsewhere than on this machine only where tokens are asked for'),
    port: z.int().min(0).max(65_535).default(3_333).describe('0 for any that is free'),
  }),
  output: z.object({
    url: z.string(),
    auth: z.enum(['tokens', 'cooperative']),
    requests: z.int().describe('answered so far'),
  }),
  effect: 'read',
  role: 'operator',
  hostBound: true,
  resides: true,
  alone: true,
  errors: ['BUSY', 'UNAUTHORIZED'],
  examples: [],
  waits: () => true,
  async run(ctx, { host, port }) {
    if (!ctx.serve) {
      throw new SwarmError('INVALID', 'a server is a process of its own: start swarm serve in a shell', {
        ctx: { kind: 'Custom', field: 'cmd' },
      })
    }
    return ctx.serve(ctx, { host, port }, (served) => ctx.emit([{ ...served, pid: process.pid }]))
  },
})
