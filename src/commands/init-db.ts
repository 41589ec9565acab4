import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import type { Root } from '../contract/context.ts'
import { storedWorkflows } from '../contract/gates.ts'
import { type InitDbOutput, initDbOutput, join } from '../contract/init-fields.ts'
import type { SchemaBuild } from '../db/schema.ts'
import { writePart } from '../runtime/part-write.ts'

export default defineCommand({
  name: 'init-db',
  group: 'set up',
  summary: 'make or upgrade the tables, enter the repo and the workflows of the configuration',
  input: z.strictObject({
    join,
    print: z
      .boolean()
      .optional()
      .describe('answer the SQL that makes or upgrades the schema, for whoever may run it; nothing is done'),
  }),
  output: z.union([initDbOutput, z.object({ schema_version: z.int(), sql: z.string() })]),
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
  async run(ctx, input): Promise<InitDbOutput | { schema_version: number; sql: string }> {
    const { applySchema, knownSchema, schemaSql } = await import('../db/schema.ts')
    const known = knownSchema()
    if (input.print) return { schema_version: known.version, sql: `begin;\n${schemaSql()}\ncommit;\n` }
    const { before } = await applySchema(ctx.db)
    const schema = before === null ? 'created' : isSame(before, known) ? 'kept' : 'upgraded'
    const { repo, changed, workflows } = await initRepo(ctx, input.join ?? false)
    return { repo, schema, schema_version: known.version, workflows, changed: changed || schema !== 'kept' }
  },
  dry: async (ctx) => ['make or upgrade the tables of schema swarm', `enter the repo ${ctx.repo}`],
})

function isSame(one: SchemaBuild, other: SchemaBuild): boolean {
  return one.version === other.version && one.functions === other.functions
}

async function initRepo(
  ctx: CommandContext,
  join: boolean,
): Promise<Pick<InitDbOutput, 'repo' | 'changed' | 'workflows'>> {
  const { root } = ctx
  if (root?.distrust) throw root.distrust
  const args = {
    ...(root ? { path: root.path, cluster: await ownCluster(root) } : {}),
    ...(root?.config.auth ? { auth: root.config.auth } : {}),
    ...(root?.config.workflows ? { workflows: storedWorkflows(root.config.workflows) } : {}),
    ...(join ? { join } : {}),
  }
  return writePart(ctx, 'init-repo', args, { cmd: 'init-db', repo: ctx.repo, ...(join ? { join } : {}) })
}

/** The name of the root's own embedded server, if it has one. */
async function ownCluster({ path }: Root): Promise<string | undefined> {
  const [pointer, node] = await Promise.all([import('../embedded/pointer.ts'), import('node:path')])
  return pointer.readPointer(node.join(path, '.swarm'))?.cluster
}
