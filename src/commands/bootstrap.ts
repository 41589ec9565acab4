import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'

export default defineCommand({
  name: 'bootstrap',
  group: 'set up',
  summary: 'make the .swarm directory with its configuration; needs no database',
  input: z.strictObject({}),
  output: z.object({
    root: z.string().describe('the directory that holds .swarm'),
    repo: z.string(),
    written: z.array(z.string()),
    kept: z.array(z.string()).describe('files that were there and stayed as they are'),
    changed: z.boolean(),
  }),
  effect: 'local',
  needs: 'nothing',
  errors: [],
  examples: [],
  async run(ctx) {
    const { planRoot, writeRoot } = await import('../root/files.ts')
    const plan = planRoot(ctx, askedRepo(ctx))
    writeRoot(plan)
    const written = plan.files.map(({ name }) => name)
    return { root: plan.path, repo: plan.repo, written, kept: [...plan.kept], changed: written.length > 0 }
  },
  async dry(ctx) {
    const { planRoot } = await import('../root/files.ts')
    const { path, files } = planRoot(ctx, askedRepo(ctx))
    return files.map(({ name }) => `write ${name} in ${path}`)
  },
})

function askedRepo(ctx: CommandContext): string | undefined {
  return ctx.repo || undefined
}
