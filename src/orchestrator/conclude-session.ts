import type { ResultEvent } from '../agents/events.ts'
import type { CommandContext } from '../contract/command.ts'
import type { JsonObject } from '../contract/json.ts'
import { operatorPath } from '../process/index.ts'
import { bringWork } from '../workspaces/clone.ts'
import { countChangedFiles } from '../workspaces/diff.ts'
import { salvageRef } from '../workspaces/names.ts'
import { removeRef } from '../workspaces/refs.ts'
import { isAncestor, type Repository, treeOf } from '../workspaces/repository.ts'
import { salvage, type WorkspaceFacts, workspaceFacts, workspaceOf } from '../workspaces/workspace.ts'
import { runGates } from './gate.ts'
import type { HostSettings } from './host-settings.ts'
import type { LiveSession } from './live-session.ts'
import { type Outcome, outcomeOf } from './outcome.ts'
import type { StartAnswer, Stop } from './session-order.ts'
import { gateSettings } from './settings.ts'

/** How a session has ended, before it is judged. */
export interface Ended {
  readonly result: ResultEvent | undefined
  readonly stop: Stop | undefined
  readonly cwd: string
  readonly before: WorkspaceFacts | undefined
  readonly facts: JsonObject
  readonly live: LiveSession
  /** What was kept before its end. */
  readonly early: string | undefined
}

/** Keeps what is in a session's workspace, under a name of its own. */
export function keepWork(
  repository: Repository,
  sessionId: string,
  { bead, attempt }: StartAnswer,
  cwd: string,
  when = '',
): Promise<string | undefined> {
  return salvage(
    repository,
    cwd,
    salvageRef(bead.bead_id, attempt, `${sessionId}${when}`),
    `what session ${sessionId} left of ${bead.bead_id}`,
  )
}

/** What a session has left after its end, besides what was kept before it. */
async function keepRest(
  repository: Repository,
  sessionId: string,
  order: StartAnswer,
  { cwd, early }: Ended,
): Promise<string | undefined> {
  if (early === undefined) return keepWork(repository, sessionId, order, cwd)
  const rest = await keepWork(repository, sessionId, order, cwd, '-after')
  if (rest === undefined || (await treeOf(cwd, rest)) !== (await treeOf(cwd, early))) return early
  await removeRef(repository, salvageRef(order.bead.bead_id, order.attempt, `${sessionId}-after`), rest)
  return early
}

/** Salvages, looks at what was made, runs the gate, and says what becomes of session and bead. */
export async function conclude(
  host: HostSettings,
  sessionId: string,
  order: StartAnswer,
  ended: Ended,
  config: NonNullable<CommandContext['root']>['config'],
): Promise<Outcome> {
  const { repository, ctx } = host
  const { bead, stage } = order
  const after = ended.before ? await workspaceFacts(ended.cwd) : undefined
  if (repository && ended.before) await bringWork(repository, workspaceOf(repository, bead.bead_id))
  const clean = ended.result?.ok === true && ended.stop === undefined && after?.dirty !== true
  const kept =
    repository && ended.before && !clean ? await keepRest(repository, sessionId, order, ended) : undefined
  const files =
    ended.before && after && ended.before.head !== after.head
      ? await countChangedFiles(ended.cwd, ended.before.head, after.head).catch(() => undefined)
      : undefined
  const facts: JsonObject = {
    ...ended.facts,
    ...(files === undefined ? {} : { files }),
    ...(ended.before ? { head_before: ended.before.head } : {}),
    ...(after ? { head_after: after.head, tree: after.tree } : {}),
    ...(kept === undefined ? {} : { salvage: kept }),
  }
  const gate = gateSettings(config, bead.workflow, stage)
  const hasWork =
    after === undefined ||
    !repository ||
    !(await isAncestor(repository.commonDir, after.head, `refs/heads/${repository.target}`))
  const claimed = outcomeOf({
    stage,
    result: ended.result,
    stop: ended.stop,
    before: ended.before,
    after,
    hasGate: gate !== undefined,
    hasWork,
  })
  const passes = claimed.reason === 'completed' && claimed.complete?.outcome === 'passed'
  if (!passes && ended.result?.ok === true && ended.stop === undefined && (await isAsking(ctx, sessionId)))
    return {
      reason: 'shutdown',
      release: 'it waits for an answer',
      facts: { ...facts, rule: 'asking', evidence: 'it has asked a person, and goes on with the answer' },
    }
  if (claimed.reason !== 'completed' || !claimed.complete || claimed.complete.outcome !== 'passed')
    return { ...claimed, facts: { ...facts, ...claimed.facts } }
  if (!gate || !repository || !after) return { ...claimed, ...(after ? { commit: after.head } : {}), facts }
  const verdict = await runGates(
    repository,
    after.head,
    after.tree,
    [gate],
    operatorPath(ctx.env),
    ctx.signal,
  )
  return {
    reason: verdict.passed ? 'completed' : 'failed',
    complete: {
      outcome: verdict.passed ? 'passed' : 'failed',
      ...(verdict.feedback === undefined ? {} : { feedback: verdict.feedback }),
      evidence: verdict.evidence,
    },
    verified: true,
    commit: after.head,
    facts: {
      ...facts,
      ...(verdict.feedback === undefined ? {} : { evidence: verdict.feedback.slice(0, 2_000) }),
    },
  }
}

/** Whether a session has asked something that nobody has answered: then it has not failed, and no attempt is charged. */
async function isAsking(ctx: CommandContext, sessionId: string): Promise<boolean> {
  const open = await ctx.db.read(
    'select 1 as open from swarm.questions where repo_id = $1 and session_id = $2 and answered_at is null limit 1',
    [ctx.repo, sessionId],
  )
  return open.length > 0
}
