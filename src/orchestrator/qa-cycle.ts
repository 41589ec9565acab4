import type { CommandContext } from '../contract/command.ts'
import { STUCK_RULES, type StuckRules } from '../core/liveness.ts'
import { auditOpen, checkEnded, type EndedFacts, type OpenFacts } from '../core/qa.ts'
import { readFunction } from '../runtime/read.ts'
import { write } from '../runtime/write.ts'
import type { Repository } from '../workspaces/repository.ts'
import { workspaceFacts, workspaceOf } from '../workspaces/workspace.ts'

/** How often a leader makes a cycle, where the configuration does not say otherwise. */
export const QA_EVERY_MS = 900_000
/** Sessions that one cycle checks. */
const MOST_SESSIONS = 200

interface Facts {
  readonly now_ms: number
  readonly at: string
  readonly ended: readonly EndedFacts[]
  readonly open: readonly OpenFacts[]
}

export interface QaCycle {
  readonly audit_id: number
  readonly checked: number
  readonly passed: number
  readonly failed: number
  readonly running: number
  readonly ended: number
  readonly more: boolean
  readonly failures: readonly {
    readonly session_id: string
    readonly iteration: number
    readonly findings: readonly string[]
    readonly recommendations: readonly string[]
  }[]
}

/**
 * One cycle: turns of sessions that are over are held against the facts, sessions that run against the rules of liveness; what was found is
 * kept, and what is stuck is told to end. `request` is what is asked for, as the database keeps it.
 */
export async function qaCycle(
  ctx: CommandContext,
  repository: Repository | undefined,
  request: { readonly run_id?: string | undefined; readonly reason?: string | undefined },
  key: string = ctx.key,
): Promise<QaCycle> {
  const facts = await readFunction<Facts>(ctx, 'qa_facts', ctx.repo, request.run_id ?? null, MOST_SESSIONS)
  const checks = []
  for (const one of facts.ended) checks.push(...checkEnded(one, await isDirty(repository, one)))
  const rules = rulesFrom(ctx)
  const stuck = facts.open.flatMap((one) => {
    const { act, rule, evidence } = auditOpen(one, facts.now_ms, rules)
    return act === 'end' && rule !== undefined
      ? [{ session_id: one.session_id, rule, evidence: evidence ?? rule }]
      : []
  })
  const told = checks.map((one) => ({
    ...one,
    findings: [...one.findings],
    recommendations: [...one.recommendations],
  }))
  return write<QaCycle>(
    ctx,
    'qa-cycle',
    request,
    {
      started_at: facts.at,
      checks: told,
      end: stuck,
      running: facts.open.length,
      more: facts.ended.length >= MOST_SESSIONS,
      failures: told.flatMap(({ result, ...one }) => (result === 'failed' ? [one] : [])).slice(0, 100),
    },
    key,
  )
}

/** The rules of the configuration. */
function rulesFrom(ctx: CommandContext): StuckRules {
  const own = ctx.root?.config.orchestrator?.stuck ?? {}
  return {
    ...STUCK_RULES,
    no_output_ms: own.no_output_ms ?? STUCK_RULES.no_output_ms,
    no_tool_ms: own.no_tool_ms ?? STUCK_RULES.no_tool_ms,
    open_tool_ms: own.open_tool_ms ?? STUCK_RULES.open_tool_ms,
    steer_ms: own.steer_ms ?? STUCK_RULES.steer_ms,
  }
}

/** Whether the worktree that a session has left is here and has changes. Only of the bead's latest session: others have worked on in it. */
async function isDirty(repository: Repository | undefined, one: EndedFacts): Promise<boolean> {
  if (!repository || !one.latest || one.workspace === null) return false
  const { path } = workspaceOf(repository, one.bead_id)
  // a row does not say where git runs
  if (path !== one.workspace) return false
  const facts = await workspaceFacts(path).catch(() => undefined)
  return facts?.dirty ?? false
}
