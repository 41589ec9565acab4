import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { agentId, name, role } from '../contract/fields.ts'
import type { JsonObject } from '../contract/json.ts'
import { makeToken } from '../runtime/principal.ts'
import { write } from '../runtime/write.ts'

const output = z.object({
  agent_ids: z.array(agentId),
  agents: z.int().describe('how many there are in the repo now'),
  tokens: z
    .array(z.object({ agent_id: agentId, token: z.string() }))
    .optional()
    .describe('those of new agents, where tokens are asked for; shown this once'),
})
type Output = z.output<typeof output>

export default defineCommand({
  name: 'register',
  group: 'loop',
  summary: 'take an agent number; the same name gets the same number, count ensures 1 to N',
  input: z.strictObject({
    name: name(200).optional().describe('a name of your own; asking again with it gives the same number'),
    role: role.optional(),
    count: z.int().min(1).max(100).optional().describe('ensure that agents 1 to count exist'),
  }),
  output,
  effect: 'write',
  errors: ['CONFLICT'],
  examples: [
    { in: { cmd: 'register', name: 'ada', role: 'implementer' }, out: { agent_ids: ['$int'], agents: 1 } },
    { in: { cmd: 'register', count: 3 }, out: { agent_ids: [1, 2, 3], agents: 3 } },
  ],
  run(ctx, input): Promise<Output> {
    const host = ctx.env.HOSTNAME ? { host: ctx.env.HOSTNAME } : {}
    return ctx.principal ? withTokens(ctx, input, host) : write(ctx, 'register', input, host)
  },
  async dry(_ctx, input) {
    if (input.count) return [`ensure agents 1 to ${input.count}`]
    return [input.name ? `register the agent ${input.name}, or find it` : 'register one agent']
  },
})

/** Every new agent gets a token. The database is told the hashes only; which of them it took, it answers. */
async function withTokens(
  ctx: CommandContext,
  input: { readonly count?: number | undefined },
  host: JsonObject,
): Promise<Output> {
  const made = await Promise.all(Array.from({ length: input.count ?? 1 }, makeToken))
  const hashes = made.map(({ hash }) => hash)
  const { tokens = [], ...rest } = await write<{
    agent_ids: number[]
    agents: number
    tokens?: { agent_id: number; hash: string }[]
  }>(ctx, 'register', input, { ...host, hashes })
  // a reply of an earlier send is about tokens that this process has never seen
  const shown = tokens.flatMap(({ agent_id, hash }) => {
    const own = made.find((one) => one.hash === hash)
    return own ? [{ agent_id, token: own.token }] : []
  })
  return { ...rest, ...(shown.length > 0 ? { tokens: shown } : {}) }
}
