import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { agentId, text } from '../contract/fields.ts'
import { ROLES } from '../contract/roles.ts'
import { limit, pageOf } from '../runtime/page.ts'
import { writePart } from '../runtime/part-write.ts'
import { makeToken } from '../runtime/principal.ts'
import { readFunction } from '../runtime/read.ts'

const YEARS_10_MS = 315_360_000_000

const input = z
  .strictObject({
    action: z.enum(['create', 'list', 'revoke']),
    role: z.enum(ROLES).optional().describe('create: what the token is for'),
    agent_id: agentId
      .optional()
      .describe('create: the agent of an agent’s token, or the only one of a runner’s'),
    name: text(200).optional().describe('create: whose it is, for the list'),
    expires_ms: z
      .int()
      .min(1)
      .max(YEARS_10_MS)
      .optional()
      .describe('create: good for so long; until revoked by default'),
    token_id: z.int().min(1).optional().describe('revoke: which one, as list says it'),
    limit: limit(100),
    after: z.int().min(1).optional().describe('list: cursor of the last answer'),
  })
  .superRefine(({ action, role, agent_id, token_id }, ctx) => {
    const refuse = (field: string, message: string) =>
      ctx.addIssue({ code: 'custom', path: [field], message })
    if (action === 'revoke' && token_id === undefined) refuse('token_id', 'is required to revoke')
    if (action !== 'create') return
    if (role === undefined) refuse('role', 'is required to create')
    if (role === 'agent' && agent_id === undefined) refuse('agent_id', 'is required for an agent’s token')
    if (agent_id !== undefined && role !== 'agent' && role !== 'runner')
      refuse('agent_id', 'belongs to the roles agent and runner')
  })
type Input = z.output<typeof input>

const tokenRow = z.object({
  token_id: z.int(),
  repo: z.string(),
  role: z.enum(ROLES),
  agent_id: z.int().optional(),
  name: z.string().optional(),
  created_at: z.string(),
  expires_at: z.string().optional(),
  revoked_at: z.string().optional(),
  last_used_at: z.string().optional().describe('to the minute'),
})
type TokenRow = z.output<typeof tokenRow>

const output = z.object({
  action: z.enum(['create', 'list', 'revoke']),
  changed: z.boolean(),
  token_id: z.int().optional(),
  token: z
    .string()
    .optional()
    .describe('create: shown this once and kept nowhere; absent when the reply is replayed'),
  tokens: z.array(tokenRow).optional().describe('list'),
  more: z.boolean().optional(),
  cursor: z.int().optional(),
})
type Output = z.output<typeof output>

export default defineCommand({
  name: 'token',
  group: 'set up',
  summary: 'make, list or revoke the tokens of a repo, for when auth = "tokens"',
  input,
  output,
  effect: 'write',
  alone: true,
  speakers: [],
  errors: ['UNAUTHORIZED', 'NOTFOUND', 'CONFLICT'],
  positional: ['action'],
  examples: [
    {
      in: { cmd: 'token', action: 'create', role: 'observer', name: 'dashboard' },
      out: { action: 'create', changed: true, token_id: '$int', token: '$string' },
    },
    {
      given: [{ cmd: 'token', action: 'create', role: 'observer', name: 'dashboard' }],
      in: { cmd: 'token', action: 'list' },
      out: {
        action: 'list',
        changed: false,
        tokens: [
          { token_id: '$int', repo: '$string', role: 'observer', name: 'dashboard', created_at: '$time' },
        ],
        more: false,
      },
    },
  ],
  async run(ctx, input): Promise<Output> {
    switch (input.action) {
      case 'create':
        return { action: 'create', changed: true, ...(await create(ctx, input)) }
      case 'revoke':
        return { action: 'revoke', ...(await revoke(ctx, input)) }
      case 'list':
        return { action: 'list', changed: false, ...(await list(ctx, input)) }
    }
  },
  async dry(_ctx, { action, role, token_id }) {
    if (action === 'list') return []
    return [action === 'create' ? `make a token of the role ${role}` : `revoke token ${token_id}`]
  },
})

async function create(
  ctx: CommandContext,
  { action, role, agent_id, name, expires_ms }: Input,
): Promise<Pick<Output, 'token' | 'token_id'>> {
  const { token, hash } = await makeToken()
  const args = { role, agent_id, name, expires_ms }
  const made = await writePart<{ token_id: number; hash: string }>(
    ctx,
    'token-create',
    args,
    { cmd: 'token', action, ...args },
    { proc: { hash, ...(ctx.unowned ? { first: true } : {}) } },
  )
  // a reply of an earlier send is about a token that this process has never seen
  return { token_id: made.token_id, ...(made.hash === hash ? { token } : {}) }
}

async function revoke(
  ctx: CommandContext,
  { action, token_id }: Input,
): Promise<Pick<Output, 'changed' | 'token_id'>> {
  const request = { cmd: 'token', action, token_id }
  const d = await writePart<{ changed: boolean }>(ctx, 'token-revoke', { token_id }, request)
  return { ...d, token_id }
}

async function list(
  ctx: CommandContext,
  { after, limit }: Input,
): Promise<Pick<Output, 'tokens' | 'more' | 'cursor'>> {
  const { rows } = await readFunction<{ rows: TokenRow[] }>(ctx, 'tokens_json', ctx.repo, after ?? 0, limit)
  const { rows: tokens, ...page } = pageOf(rows, limit, (row) => row.token_id)
  return { tokens, ...page }
}
