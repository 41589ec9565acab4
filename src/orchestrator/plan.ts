import { ADAPTERS } from '../contract/agents-config.ts'
import type { CommandContext } from '../contract/command.ts'
import type { Action, Decision } from '../core/actions.ts'
import { decide } from '../core/decide.ts'
import type { Rules } from '../core/rules.ts'
import type { AgentFacts, ReadyBead, Snapshot, StageFacts } from '../core/snapshot.ts'
import { budgetOf, ruleName, translate } from '../core/translate.ts'
import { capacityOf, landingGates, rulesOf } from './settings.ts'
import { readSnapshot } from './tick.ts'

/** Ready beads that a plan names. */
const MOST_NEXT = 50

export interface PlanOptions {
  readonly target?: number | undefined
  readonly adapter?: string | undefined
  readonly resume?: string | undefined
  readonly waves?: 'rolling' | 'strict' | undefined
}

/** What would be done: a look without a write. Programs are not looked for: every adapter counts as there. */
export async function plan(
  ctx: CommandContext,
  options: PlanOptions,
  agents: Readonly<Record<string, number>>,
) {
  const config = ctx.root?.config ?? {}
  const rules = rulesOf(config, agents, options.adapter)
  const [open] = await ctx.db.read<{ n: number }>(
    `select count(*)::integer as n from swarm.bead_backlog where repo_id = $1 and status in ('pending', 'in_progress')`,
    [ctx.repo],
  )
  const snapshot =
    options.resume === undefined
      ? await snapshotOfNew(ctx, options, agents)
      : await readSnapshot(ctx, options.resume)
  const decision = snapshot.ready.length === 0 && !options.resume ? NOTHING : decide(snapshot, rules)
  return {
    run_id: options.resume ?? 'not started',
    status: 'starting' as const,
    waves: options.waves ?? config.orchestrator?.waves ?? ('rolling' as const),
    landed: 0,
    started_at: new Date().toISOString(),
    plan: JSON.parse(
      JSON.stringify({
        beads: open?.n ?? 0,
        agents,
        roles: rules.roles,
        rules: (rules.translations ?? []).map(({ match: _match, ...one }) => ({
          rule: ruleName(one),
          ...one,
        })),
        budgets: rules.budgets,
        gates: Object.keys(config.workflows ?? { default: {} }).map((name) => ({
          workflow: name,
          landing: landingGates(config, name).map(({ argv }) => argv.join(' ')),
        })),
        first: decision.actions,
        next: nextOf(snapshot, rules, decision),
      }),
    ),
  }
}

const NOTHING: Decision = { actions: [], waiting: [] }

/** The next ready beads: the rule for each, and how it would be worked on, or why not yet. */
function nextOf(snapshot: Snapshot, rules: Rules, { actions, waiting }: Decision) {
  const { beads } = translate(snapshot, rules)
  return beads.slice(0, MOST_NEXT).map(({ bead, rule }) => {
    const given = actions.find(
      (one): one is Extract<Action, { kind: 'assign' }> =>
        one.kind === 'assign' && one.bead_id === bead.bead_id,
    )
    const { usd, tokens } = budgetOf(bead, rules)
    return {
      bead_id: bead.bead_id,
      workflow: bead.workflow,
      stage: bead.stage,
      rule: rule && ruleName(rule),
      budget_usd: usd,
      budget_tokens: tokens,
      ...(given
        ? { agent_id: given.agent_id, adapter: given.adapter, model: given.model }
        : { waits_for: waiting.find((one) => one.bead_id === bead.bead_id)?.detail }),
    }
  })
}

/** The facts of a run that begins now, with this process as its one host. */
async function snapshotOfNew(
  ctx: CommandContext,
  { target, waves }: PlanOptions,
  agents: Readonly<Record<string, number>>,
): Promise<Snapshot> {
  const [ready, stages, known] = await Promise.all([
    ctx.db.read<ReadyBead>(
      `select b.bead_id, b.title, b.bead_type, to_jsonb(b.labels) as labels, b.priority::text as priority, b.workflow, b.stage,
         null as wave, null as workspace, (extract(epoch from b.created_at) * 1000)::float8 as created_ms, 0 as failures,
         (select count(*)::integer from swarm.bead_links l where l.repo_id = b.repo_id and l.other_id = b.bead_id
           and swarm.blocking(l.kind)) as unblocks,
         nullif(b.not_for, 0) as implementer, not b.workflow_given and b.fence = 0 as unbegun
       from swarm.bead_backlog b where b.repo_id = $1 and b.status = 'pending' and b.open_blockers = 0 and b.stage <> 'land'
         and not exists (select from swarm.swarm_runs r where r.repo_id = $1 and r.run_id = b.run_id and r.ended_at is null)
       order by b.priority, b.created_at, b.id limit $2::text::integer`,
      [ctx.repo, String(MOST_NEXT)],
    ),
    ctx.db.read<StageFacts>(
      `select name as workflow, stage, position, to_jsonb(role) as roles, independent from swarm.workflow_stages where repo_id = $1`,
      [ctx.repo],
    ),
    ctx.db.read<AgentFacts>(
      `select agent_id, role, bead_id is not null as busy from swarm.agent_state where repo_id = $1 and role is distinct from 'swarm' order by agent_id`,
      [ctx.repo],
    ),
  ])
  const here = 'this host'
  return {
    now_ms: Date.now(),
    run: {
      run_id: 'not started',
      status: 'running',
      pause_reason: null,
      target: target ?? null,
      waves: waves ?? ctx.root?.config.orchestrator?.waves ?? 'rolling',
      started_ms: Date.now(),
    },
    counts: {
      pending: ready.length,
      ready: ready.length,
      in_progress: 0,
      blocked: 0,
      landed: 0,
      landing: 0,
    },
    stages,
    agents: withMade(known, agents),
    hosts: [
      {
        host_id: here,
        capacity: capacityOf(agents),
        adapters: Object.fromEntries(ADAPTERS.map((name) => [name, { version: 'not looked at' }])),
        silent_ms: 0,
        draining: false,
        free_disk_mb: null,
      },
    ],
    sessions: [],
    ready,
    quotas: [],
    spent: { run_usd: 0, run_tokens: 0, day_usd: 0, day_tokens: 0 },
    bead_spent: {},
    questions: 0,
    waves: [],
    open_wave: null,
  }
}

/** The agents that are there, and those that the run would make: of each role as many as are missing. */
function withMade(known: readonly AgentFacts[], agents: Readonly<Record<string, number>>): AgentFacts[] {
  const all = [...known]
  for (const [role, count] of Object.entries(agents)) {
    const have = known.filter((one) => one.role === role).length
    for (let made = have; made < count; made++)
      all.push({ agent_id: Math.max(0, ...all.map(({ agent_id }) => agent_id)) + 1, role, busy: false })
  }
  return all
}
