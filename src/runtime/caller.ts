import type { CommandContext } from '../contract/command.ts'

/** The agent that this process speaks for, as its token says, or else its environment; the dispatcher has checked the value. */
export function callerOf(ctx: Pick<CommandContext, 'env' | 'principal'>): number | undefined {
  if (ctx.principal) return ctx.principal.agent_id
  return ctx.env.SWARM_AGENT_ID ? Number(ctx.env.SWARM_AGENT_ID) : undefined
}

/** The repo, when the request or the environment names one: an agent must then be told. */
export function namedRepo(ctx: CommandContext): string | undefined {
  return ctx.repo || ctx.env.SWARM_REPO || undefined
}
