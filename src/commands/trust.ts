import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { noRoot } from '../runtime/target.ts'

export default defineCommand({
  name: 'trust',
  group: 'set up',
  summary: 'let the servers and commands that .swarm/config.toml names be used, as they are now; shows them',
  input: z.strictObject({
    hash: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional()
      .describe('only if they are still those that the error with this hash showed'),
  }),
  output: z.object({
    root: z.string(),
    would: z.array(z.string()).describe('what it would do, in words; passwords are masked'),
    more: z.int().optional().describe('commands that are not shown'),
    hash: z.string().optional().describe('of what is trusted; absent when there is nothing to trust'),
    changed: z.boolean().describe('false when it was trusted already, or needs no trust'),
  }),
  effect: 'local',
  alone: true,
  needs: 'nothing',
  errors: ['CONFLICT', 'UNAUTHORIZED'],
  examples: [],
  async run(ctx, { hash }) {
    if (ctx.env.SWARM_FENCE) throw notForAgents()
    const { root, active, trust, showActive } = await look(ctx, hash)
    if (!active) {
      const changed = trust.hasLost(root, ctx.env) && trust.rememberTrust(root, {}, ctx.env)
      return { root, would: [], changed }
    }
    const changed = trust.rememberTrust(root, active, ctx.env)
    const { does, more } = showActive(active)
    return { root, would: [...does], ...(more > 0 ? { more } : {}), hash: trust.hashOf(active), changed }
  },
  async dry(ctx, { hash }) {
    const { active, showActive } = await look(ctx, hash)
    return active ? showActive(active).does.map((what) => `let it ${what}`) : []
  },
})

/** Commands that swarm started for a bead have its fence in their environment. This keeps an honest agent from it, not a hostile one. */
function notForAgents(): SwarmError {
  return new SwarmError(
    'UNAUTHORIZED',
    'what was started for a bead does not trust a configuration: the person who answers for this machine does, in a shell of their own',
    { ctx: { field: 'SWARM_FENCE' } },
  )
}

/** What there is to trust, read once: what is shown is what is remembered. */
async function look(ctx: CommandContext, hash: string | undefined) {
  const [{ readRoot }, trust, { showActive }] = await Promise.all([
    import('../root/config.ts'),
    import('../root/trust.ts'),
    import('../root/show-active.ts'),
  ])
  const root = readRoot(ctx.cwd, ctx.env)
  if (!root) throw noRoot()
  const active = trust.activeKeys(root.config, root.prompts)
  const found = active || trust.hasLost(root.path, ctx.env) ? trust.hashOf(active ?? {}) : undefined
  if (hash !== undefined && hash !== found) {
    throw new SwarmError('CONFLICT', 'the configuration has changed since it was shown: look again', {
      area: 'stage',
      ctx: { field: 'hash', ...(found ? { hash: found } : {}) },
    })
  }
  return { root: root.path, active, trust, showActive }
}
