import type { CommandContext } from '../contract/command.ts'
import type { Facts, Overview } from '../contract/run-rows.ts'
import { budgetsOf } from '../core/budget.ts'
import { estimateOf } from '../core/estimate.ts'
import { judge } from '../core/verdict.ts'
import { readFunction } from '../runtime/read.ts'

/** How a run stands, the open one or the latest by default, with the verdict and what waits for a person. One read. */
export async function readOverview(ctx: CommandContext, runId: string | undefined): Promise<Overview> {
  const read = await readFunction<Omit<Facts, 'budgets'>>(ctx, 'run_overview', ctx.repo, runId ?? null)
  const facts = { ...read, budgets: budgetsOf(read, ctx.root?.config.orchestrator?.budgets ?? {}) }
  const { as_of, run, ...rest } = facts
  const estimate = estimateOf(facts)
  const told = run && { ...run, ...(estimate === undefined ? {} : { estimated_completion: estimate }) }
  return { as_of, ...judge(facts), ...(told ? { run: told } : {}), ...rest }
}
