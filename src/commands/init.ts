import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { initDbOutput, join } from '../contract/init-fields.ts'
import { isJsonObject, type Json } from '../contract/json.ts'

/** Agents that a new repo starts with. */
const DEFAULT_AGENTS = 4

const input = z.strictObject({
  count: z.int().min(0).max(100).default(DEFAULT_AGENTS).describe('ensure that agents 1 to count exist'),
  agents_md: z.boolean().optional().describe('put the agents’ instructions into AGENTS.md, once'),
  join,
})

const AGENTS_MD = ['added', 'unchanged'] as const
const booted = z.object({
  root: z.string(),
  repo: z.string(),
  written: z.array(z.string()),
  changed: z.boolean(),
})
const registered = z.object({
  agent_ids: z.array(z.int()),
  tokens: z
    .array(z.object({ agent_id: z.int(), token: z.string() }))
    .optional()
    .describe('those of new agents; shown this once'),
})

export default defineCommand({
  name: 'init',
  group: 'set up',
  summary: 'set this repository up: bootstrap, init-db and register; doing it again changes nothing',
  input,
  output: z.object({
    root: z.string(),
    repo: z.string(),
    written: z.array(z.string()).describe('files in the root'),
    schema: initDbOutput.shape.schema,
    schema_version: z.int(),
    workflows: initDbOutput.shape.workflows,
    agent_ids: z.array(z.int()),
    agents_md: z.enum(AGENTS_MD).optional(),
    token: z
      .string()
      .optional()
      .describe('the first operator’s token, where the configuration says auth = "tokens"; shown this once'),
    agent_tokens: registered.shape.tokens,
    changed: z.boolean().describe('false when all was there already'),
  }),
  effect: 'local',
  needs: 'nothing',
  errors: ['EXISTS', 'CONFLICT'],
  examples: [],
  async run(ctx, { count, agents_md, join }) {
    const { root, written, ...files } = booted.parse(await ctx.execute({ cmd: 'bootstrap' }))
    const db = initDbOutput.parse(await ctx.execute({ cmd: 'init-db', ...(join ? { join } : {}) }))
    const { repo, schema, schema_version, workflows } = db
    const token = await firstToken(ctx, repo)
    const { agent_ids, tokens, added } = await register(ctx, repo, count)
    const text = agents_md ? await writeInstructions(ctx, root) : undefined
    const changed = files.changed || db.changed || added || text === 'added' || token !== undefined
    return {
      root,
      repo,
      written,
      schema,
      schema_version,
      workflows,
      agent_ids,
      ...(text ? { agents_md: text } : {}),
      ...(token === undefined ? {} : { token }),
      ...(tokens ? { agent_tokens: tokens } : {}),
      changed,
    }
  },
  async dry(ctx, { count, agents_md }) {
    const files = wouldDo(await ctx.execute({ cmd: 'bootstrap', dry: true }))
    return [
      ...files,
      'make or upgrade the tables, and enter the repo',
      ...(count > 0 ? [`ensure agents 1 to ${count}`] : []),
      ...(agents_md ? ['put the agents’ instructions into AGENTS.md'] : []),
    ]
  },
})

async function register(ctx: CommandContext, repo: string, count: number) {
  if (count === 0) return { agent_ids: [], added: false }
  const known = await agentsUpTo(ctx, repo, count)
  const { agent_ids, tokens } = registered.parse(await ctx.execute({ cmd: 'register', count }))
  return { agent_ids, tokens, added: known < count }
}

/** The operator's token of a repo that asks for tokens and has none yet. This process goes on as its holder. */
async function firstToken(ctx: CommandContext, repo: string): Promise<string | undefined> {
  const [row] = await ctx.db.read<{ due: boolean }>(
    `select exists (select from swarm.repos where repo_id = $1 and auth = 'tokens') and not swarm.has_operator($1) as due`,
    [repo],
  )
  if (!row?.due) return undefined
  const { token } = z
    .object({ token: z.string() })
    .parse(await ctx.execute({ cmd: 'token', action: 'create', role: 'operator', name: 'init' }))
  await ctx.authenticate(token)
  return token
}

async function agentsUpTo(ctx: CommandContext, repo: string, count: number): Promise<number> {
  const [row] = await ctx.db.read<{ n: number }>(
    'select count(*)::integer as n from swarm.agent_state where repo_id = $1 and agent_id <= $2::integer',
    [repo, count],
  )
  return row?.n ?? 0
}

async function writeInstructions(ctx: CommandContext, root: string): Promise<(typeof AGENTS_MD)[number]> {
  const { appendOnce } = await import('../root/agents-md.ts')
  const { prompt } = z.object({ prompt: z.string() }).parse(await ctx.execute({ cmd: 'prompt' }))
  return appendOnce(root, prompt)
}

function wouldDo(d: Json): string[] {
  return isJsonObject(d) && Array.isArray(d.would_do) ? d.would_do.map(String) : []
}
