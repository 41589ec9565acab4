import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { initDbOutput, join } from '../contract/init-fields.ts'
import { noRoot } from '../runtime/target.ts'

export default defineCommand({
  name: 'init-local-db',
  group: 'compat',
  summary: 'start the embedded Postgres of this root and make its tables, whatever DATABASE_URL says',
  input: z.strictObject({ join }),
  output: initDbOutput.extend({ started: z.boolean().describe('false when it ran already') }),
  effect: 'local',
  needs: 'root',
  errors: ['EXISTS', 'CONFLICT'],
  examples: [],
  async run(ctx, input) {
    if (!ctx.root) throw noRoot()
    // its workflows would be entered
    if (ctx.root.distrust) throw ctx.root.distrust
    const [{ openDatabase }, { startEmbedded }, path] = await Promise.all([
      import('../db/database.ts'),
      import('../embedded/target.ts'),
      import('node:path'),
    ])
    const { config } = ctx.root
    const { address, started } = await startEmbedded(path.join(ctx.root.path, '.swarm'), config.idle_stop_ms)
    const db = openDatabase(
      { kind: 'embedded', ...address, ensure: async () => undefined },
      { connectTimeoutMs: 10_000, holder: ctx.holder },
    )
    try {
      const d = await ctx.execute({ cmd: 'init-db', ...input }, { db })
      return { ...initDbOutput.parse(d), started }
    } finally {
      await db.close()
    }
  },
  dry: async () => ['start the embedded Postgres', 'make or upgrade its tables'],
})
