import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import type { CommandContext } from '../contract/context.ts'
import { writePart } from './shared/part-write.ts'

export const initDbOutput = z.object({
  repo: z.string(),
  schema: z.enum(['created', 'upgraded', 'kept']),
  schema_version: z.int(),
  workflows: z
    .object({ added: z.array(z.string()), updated: z.array(z.string()), unchanged: z.array(z.string()) })
    .describe('those of the configuration'),
  changed: z.boolean(),
})
type Output = z.output<typeof initDbOutput>

interface InitRepo {
  readonly repo: string
  readonly changed: boolean
  readonly workflows: Output['workflows']
}

export const join = z
  .boolean()
  .optional()
  .describe('share the backlog of a repo of this name that another directory has made')

export default defineCommand({
  name: 'init-db',
  group: 'set up',
  summary: 'make or upgrade the tables, enter the repo and the workflows of the configuration',
  input: z.strictObject({ join }),
  output: initDbOutput,
  effect: 'write',
  errors: ['EXISTS', 'CONFLICT'],
  examples: [
    {
      in: { cmd: 'init-db' },
      out: {
        repo: '$string',
        schema: 'kept',
        schema_version: '$int',
        workflows: { added: [], updated: [], unchanged: [] },
        changed: true,
      },
    },
  ],
  async run(ctx, input) {
    const { applySchema, SCHEMA_VERSION } = await import('../db/schema.ts')
    const { before } = await applySchema(ctx.db)
    const schema = before === null ? 'created' : before < SCHEMA_VERSION ? 'upgraded' : 'kept'
    const { repo, changed, workflows } = await initRepo(ctx, input.join ?? false)
    return { repo, schema, schema_version: SCHEMA_VERSION, workflows, changed: changed || schema !== 'kept' }
  },
  dry: async (ctx) => ['make or upgrade the tables of schema swarm', `enter the repo ${ctx.repo}`],
})

function initRepo(ctx: CommandContext, join: boolean): Promise<InitRepo> {
  const { root } = ctx
  const args = {
    ...(root ? { path: root.path } : {}),
    ...(root?.config.workflows ? { workflows: root.config.workflows } : {}),
    ...(join ? { join } : {}),
  }
  return writePart(ctx, 'init-repo', args, { cmd: 'init-db', repo: ctx.repo, ...(join ? { join } : {}) })
}
