import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import type { Root } from '../contract/context.ts'
import { type InitDbOutput, initDbOutput, join } from '../contract/init-fields.ts'
import { writePart } from '../runtime/part-write.ts'

export default defineCommand({
  name: 'init-db',
  group: 'set up',
  summary: 'make or upgrade the tables, enter the repo and the workflows of the configuration',
  input: z.strictObject({ join }),
  output: initDbOutput,
  effect: 'write',
  alone: true,
  errors: ['EXISTS', 'CONFLICT'],
  examples: [
    {
      given: [{ cmd: 'init-db' }],
      in: { cmd: 'init-db' },
      out: { repo: '$string', schema: 'kept', schema_version: '$int', changed: false },
    },
  ],
  async run(ctx, input): Promise<InitDbOutput> {
    const { applySchema, SCHEMA_VERSION } = await import('../db/schema.ts')
    const { before } = await applySchema(ctx.db)
    const schema = before === null ? 'created' : before < SCHEMA_VERSION ? 'upgraded' : 'kept'
    const { repo, changed, workflows } = await initRepo(ctx, input.join ?? false)
    return { repo, schema, schema_version: SCHEMA_VERSION, workflows, changed: changed || schema !== 'kept' }
  },
  dry: async (ctx) => ['make or upgrade the tables of schema swarm', `enter the repo ${ctx.repo}`],
})

async function initRepo(
  ctx: CommandContext,
  join: boolean,
): Promise<Pick<InitDbOutput, 'repo' | 'changed' | 'workflows'>> {
  const { root } = ctx
  const args = {
    ...(root ? { path: root.path, cluster: await ownCluster(root) } : {}),
    ...(root?.config.auth ? { auth: root.config.auth } : {}),
    ...(root?.config.workflows ? { workflows: root.config.workflows } : {}),
    ...(join ? { join } : {}),
  }
  return writePart(ctx, 'init-repo', args, { cmd: 'init-db', repo: ctx.repo, ...(join ? { join } : {}) })
}

/** The name of the root's own embedded server, if it has one. */
async function ownCluster({ path }: Root): Promise<string | undefined> {
  const [pointer, node] = await Promise.all([import('../embedded/pointer.ts'), import('node:path')])
  return pointer.readPointer(node.join(path, '.swarm'))?.cluster
}
