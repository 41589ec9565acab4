import { appendFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { adapterNamed } from '../agents/adapters.ts'
import type { AgentEvent, ResultEvent } from '../agents/events.ts'
import { startSession } from '../agents/session.ts'
import { LONG_WAIT_MS } from '../agents/tracking.ts'
import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { type JsonObject, storable } from '../contract/json.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { STUCK_RULES, type StuckRules } from '../core/liveness.ts'
import { newMarker, operatorPath } from '../process/index.ts'
import { readFunction } from '../runtime/read.ts'
import { write } from '../runtime/write.ts'
import { bringWork } from '../workspaces/clone.ts'
import { countChangedFiles } from '../workspaces/diff.ts'
import { followTarget, keepLate, publish, takeOver } from '../workspaces/exchange.ts'
import { salvageRef } from '../workspaces/names.ts'
import { removeRef } from '../workspaces/refs.ts'
import { identityOf, isAncestor, type Repository, treeOf } from '../workspaces/repository.ts'
import {
  ensureWorkspace,
  refreshWorkspace,
  salvage,
  unlockWorkspace,
  type Workspace,
  type WorkspaceFacts,
  workspaceFacts,
  workspaceOf,
  workspaceState,
} from '../workspaces/workspace.ts'
import { runGates } from './gate.ts'
import type { HostSettings } from './host-settings.ts'
import { sweepLeftovers } from './leftovers.ts'
import { LiveSession } from './live-session.ts'
import { type Outcome, outcomeOf } from './outcome.ts'
import { promptFor } from './prompt.ts'
import { keptPaths, sessionPaths } from './session-paths.ts'
import { gateSettings, sessionSettings, withAccount } from './settings.ts'
import { tidyLanded } from './tidy.ts'
import { isAway } from './vigil.ts'

/** A person's answer, as the agent reads it. */
export function answerText(question: string, answer: string): string {
  return `The answer to the question "${question}": ${answer}`
}

/** What the next attempt is told: why the last one did not pass, and what people have answered meanwhile. */
function feedbackOf({ feedback, answers }: StartAnswer): string | null {
  const told = answers.map(({ question, answer }) => answerText(question, answer))
  return told.length === 0 ? feedback : [...(feedback === null ? [] : [feedback]), ...told].join('\n')
}

/** Why a session is to end before its program has given a result. */
export interface Stop {
  readonly reason: string
  readonly rule?: string
  readonly evidence: string
}

/** A session that this host runs. */
export interface RunningOrder {
  readonly sessionId: string
  /** Resolves when the session's row has its end. */
  readonly done: Promise<void>
  live(): LiveSession | undefined
  stop(why: Stop): void
  /** Asks to end at the next turn's boundary. */
  stopAtTurn(why: Stop): void
}

interface StartAnswer {
  readonly started: boolean
  readonly agent_id: number
  readonly fence: number
  readonly role: string
  readonly run_id: string
  readonly adapter: string
  readonly account: string
  /** The conversation that this session goes on with; null: it begins one. */
  readonly resume: {
    readonly native_id: string
    readonly workspace: string | null
    /** The session whose HOME holds it. */
    readonly begun_by: string
  } | null
  readonly bead: {
    readonly bead_id: string
    readonly title: string
    readonly description: string
    readonly workflow: string
    readonly bead_type: string
    readonly labels: readonly string[]
    readonly priority: string
  }
  readonly stage: string
  readonly attempt: number
  readonly feedback: string | null
  /** To questions of earlier sessions that had ended when they were answered. */
  readonly answers: readonly { readonly question: string; readonly answer: string }[]
  readonly commit_hash: string | null
}

const LOOK_MS = 1_000
const RESEND_MS = 1_000
/** The longest limits that are known are by the week: what is told beyond that is an error, and must not hold an account for ever. */
const LONGEST_QUOTA_MS = 8 * 86_400_000
/** A program that has given its result may take so long to go by itself. */
const LINGER_MS = 2_000

/** Takes an order and carries it out to its end. Faults of swarm itself end the session too, and are told. */
export function runOrder(host: HostSettings, sessionId: string): RunningOrder {
  let live: LiveSession | undefined
  let stopped: Stop | undefined
  let atTurn: Stop | undefined
  const stopping = new AbortController()
  const stop = (why: Stop) => {
    stopped ??= why
    stopping.abort()
  }
  const control: Control = {
    signal: stopping.signal,
    stopped: () => stopped,
    atTurn: () => atTurn,
    stop,
    onLive: (one) => {
      live = one
    },
  }
  return {
    sessionId,
    done: carryOut(host, sessionId, control).catch(host.onFault),
    live: () => live,
    stop,
    stopAtTurn(why) {
      atTurn ??= why
    },
  }
}

interface Control {
  readonly signal: AbortSignal
  stopped(): Stop | undefined
  atTurn(): Stop | undefined
  stop(why: Stop): void
  onLive(live: LiveSession): void
}

async function carryOut(host: HostSettings, sessionId: string, control: Control): Promise<void> {
  const { ctx, hostId } = host
  // known to the database before any process carries it: whoever finds one can tell whose it is
  const marker = newMarker()
  const order = await write<StartAnswer>(
    ctx,
    'session-start',
    { session_id: sessionId, host_id: hostId, marker },
    {},
    `start/${sessionId}`,
  )
  if (!order.started) return
  const end = async (outcome: Outcome) => {
    await handOn(host, order, outcome.commit)
    const { held } = await report(host, sessionId, outcome)
    if (!held && outcome.commit !== undefined && host.repository)
      await keepLate(host.repository, { beadId: order.bead.bead_id, commit: outcome.commit })
  }
  try {
    await end(await work(host, sessionId, marker, order, control))
  } catch (error) {
    // the order is ours: it must have an end, whatever went wrong
    host.onFault(error)
    const told = error instanceof Error ? error.message : String(error)
    const known =
      error instanceof SwarmError && error.code === 'DEPENDENCY'
        ? 'not_started:dependency'
        : 'not_started:fault'
    await end({ reason: known, release: told.slice(0, 500), facts: { evidence: told.slice(0, 2_000) } })
  }
}

/** Gives what a session has made to the other hosts, where they cannot see it. */
async function handOn(host: HostSettings, order: StartAnswer, commit: string | undefined): Promise<void> {
  const { ctx, repository, elsewhere, onFault } = host
  const remote = ctx.root?.config.landing?.remote
  if (commit === undefined || !repository || remote === undefined || !elsewhere()) return
  if (await isAncestor(repository.commonDir, commit, `refs/heads/${repository.target}`)) return
  await publish(repository, remote, { beadId: order.bead.bead_id, commit }).catch(onFault)
}

async function work(
  host: HostSettings,
  sessionId: string,
  marker: string,
  order: StartAnswer,
  control: Control,
): Promise<Outcome> {
  const { ctx, repository } = host
  const { bead, stage, attempt } = order
  const config = ctx.root?.config ?? {}
  // what is run is what this host's own configuration says: the order only tells what the leader's said
  const { settings, operatorEnv } = withAccount(
    sessionSettings(config, order.role, host.adapter, bead),
    ctx.env,
    order.account,
  )
  if (settings.adapter !== order.adapter)
    return notStarted(
      'rules',
      `the leader ordered ${order.adapter}, and by the configuration here it is ${settings.adapter}: give both the same [agents] and [[rules]]`,
    )
  const adapter = adapterNamed(settings.adapter)
  await sweepLeftovers(host)
  const workspace = repository ? await prepareWorkspace(host, repository, order, control.signal) : undefined
  const cwd = workspace?.path ?? host.root
  await readFunction(ctx, 'session_workspace', ctx.repo, sessionId, cwd)
  const before = workspace ? await workspaceFacts(cwd) : undefined
  const kept =
    order.resume && order.resume.workspace === cwd ? await keptPaths(order.resume.begun_by) : undefined
  let paths = kept ?? (await sessionPaths(sessionId))
  let resume = kept ? order.resume?.native_id : undefined
  let live: LiveSession | undefined
  let goesOn = false
  try {
    for (;;) {
      const prompt = promptFor(
        {
          bead,
          stage,
          attempt,
          feedback: feedbackOf(order),
          branch: workspace?.branch,
          resumed: resume !== undefined,
        },
        ctx.root?.prompts && Object.hasOwn(ctx.root.prompts, stage) ? ctx.root.prompts[stage] : undefined,
        crypto.randomUUID().slice(0, 8),
      )
      const agent = await startSession(adapter, {
        settings,
        prompt,
        cwd,
        home: paths.home,
        tmp: paths.tmp,
        path: host.path,
        operatorEnv,
        env: {
          ...(repository ? await identityOf(repository) : {}),
          SWARM_AGENT_ID: String(order.agent_id),
          SWARM_BEAD_ID: bead.bead_id,
          SWARM_STAGE: stage,
          SWARM_ATTEMPT: String(attempt),
          SWARM_FENCE: String(order.fence),
          SWARM_REPO: ctx.repo,
          SWARM_SESSION_ID: sessionId,
          // a swarm that it calls finds gates where this one does
          SWARM_GATE_PATH: operatorPath(ctx.env),
        },
        ...(resume === undefined ? {} : { resume }),
        marker,
      })
      const tellsTools = adapter.tellsTools?.(settings) ?? true
      live = new LiveSession(sessionId, agent, adapter.steers, tellsTools, undefined, live)
      control.onLive(live)
      const heard = await follow(host, order, live, control, cwd, workspace ? before : undefined)
      // what ends it may change what it has done
      const early =
        heard === undefined && repository && before
          ? await keepWork(repository, sessionId, order, cwd).catch(host.onFault)
          : undefined
      const ending = await agent.end({ lingerMs: heard ? LINGER_MS : 0 })
      // one that was to end with its turn may just have finished
      const last = agent.track().result
      const finished = control.stopped() === control.atTurn() && last?.ok === true
      const result = finished ? last : heard
      await flushAll(host, live)
      const track = agent.track()
      if (resume !== undefined && !control.stopped() && isUnknown(result) && track.turns === 0) {
        // the program does not know the conversation any more: what was committed is there all the same
        resume = undefined
        await paths.remove()
        paths = await sessionPaths(sessionId)
        continue
      }
      const facts = {
        exit_code: ending.exitCode,
        signal: ending.signal,
        turns: track.turns,
        tool_calls: track.toolCalls,
        usage: { ...live.settled() },
        ...(track.nativeId === undefined ? {} : { native_id: track.nativeId }),
        ...(ending.left.length > 0
          ? { left: ending.left.map(({ pid, name, why }) => ({ pid, name, why })) }
          : {}),
      }
      const outcome = await conclude(
        host,
        sessionId,
        order,
        {
          result,
          stop: finished ? undefined : control.stopped(),
          cwd,
          before,
          facts,
          live,
          early: early ?? undefined,
        },
        config,
      )
      goesOn = RESUMED.has(outcome.reason) && track.nativeId !== undefined
      return outcome
    }
  } finally {
    await (goesOn ? paths.keepHome() : paths.remove())
  }
}

/** The workspace of the bead, with what other hosts have landed, and have done of it, where they work in other clones. */
async function prepareWorkspace(
  { ctx, elsewhere }: HostSettings,
  repository: Repository,
  { bead, commit_hash }: StartAnswer,
  signal: AbortSignal,
): Promise<Workspace> {
  const remote = ctx.root?.config.landing?.remote
  if (elsewhere()) {
    if (remote !== undefined) await followTarget(repository, remote)
    await tidyLanded(ctx, repository)
  }
  const workspace = await ensureWorkspace(repository, bead.bead_id, signal)
  await unlockWorkspace(workspace.path)
  if (commit_hash !== null) await takeOver(repository, workspace, remote, commit_hash)
  await refreshWorkspace(repository, workspace)
  return workspace
}

/** After these ends the next session goes on with the same conversation, as `swarm.to_resume` says. */
const RESUMED: ReadonlySet<string> = new Set(['quota', 'budget', 'shutdown', 'crashed'])

/** A session that was to be resumed is answered so when the program cannot find it. */
const isUnknown = (result: ResultEvent | undefined): boolean => result?.reason === 'configuration'

/** Reads the session's events to its result, looking meanwhile whether it lives. Undefined: it was stopped before. */
async function follow(
  host: HostSettings,
  order: StartAnswer,
  live: LiveSession,
  control: Control,
  cwd: string,
  before: WorkspaceFacts | undefined,
): Promise<ResultEvent | undefined> {
  const over = new AbortController()
  const looking = look(host, live, control, over.signal, before ? cwd : undefined, order.stage)
  try {
    const events = live.agent.events[Symbol.asyncIterator]()
    const aborted = new Promise<'stopped'>((resolve) => {
      if (control.signal.aborted) resolve('stopped')
      control.signal.addEventListener('abort', () => resolve('stopped'), { once: true })
    })
    for (;;) {
      const next = await Promise.race([events.next(), aborted])
      if (next === 'stopped' || next.done) return live.agent.track().result
      live.take(next.value)
      await quota(host, order, live, next.value, control)
      if (next.value.kind === 'result') return next.value
      const why = next.value.kind === 'turn_ended' ? control.atTurn() : undefined
      if (why) control.stop(why)
    }
  } finally {
    over.abort()
    await looking
  }
}

/**
 * Tells the database of quotas as the program tells of them. A program that waits for one longer than is worth a slot is to end: its bead
 * is held, and it goes on when there is quota again.
 */
async function quota(
  { ctx }: HostSettings,
  { account }: StartAnswer,
  live: LiveSession,
  event: AgentEvent,
  control: Control,
): Promise<void> {
  const tell = ({ until, ...told }: JsonObject & { until?: number | undefined }) =>
    readFunction(ctx, 'session_quota', ctx.repo, live.sessionId, {
      account,
      ...told,
      ...(until === undefined ? {} : { until_ms: Math.min(until, Date.now() + LONGEST_QUOTA_MS) }),
    })
  if (event.kind === 'rate_limited') {
    await tell({
      kind: event.state === 'reached' ? 'limit' : 'near',
      ...(event.usedPercent === undefined ? {} : { used_percent: event.usedPercent }),
      until: event.until,
      evidence: event.limit ?? '',
    })
  } else if (event.kind === 'result' && event.reason === 'quota') {
    // one that has said until when was heard already
    if ((live.agent.track().limitedUntil ?? 0) <= Date.now())
      await tell({ kind: 'limit', evidence: event.detail.slice(0, 500) })
  } else if (event.kind === 'result' && event.reason === 'overloaded') {
    await tell({ kind: 'overload', evidence: event.detail.slice(0, 500) })
  } else if (event.kind === 'retrying' && (event.cause === 'overloaded' || event.cause === 'quota')) {
    const evidence = event.detail.slice(0, 500)
    const isLong = event.at !== undefined && event.at - Date.now() >= LONG_WAIT_MS
    if (event.cause === 'quota' && isLong) {
      await tell({ kind: 'limit', until: event.at, evidence })
      control.stop({ reason: 'quota', evidence })
    } else await tell({ kind: 'overload', evidence })
  }
}

/** Reports what is new and judges the session, about once a second, until it is over. */
async function look(
  host: HostSettings,
  live: LiveSession,
  control: Control,
  over: AbortSignal,
  worktree: string | undefined,
  stage: string,
): Promise<void> {
  const rules = stuckRulesOf(host, worktree, stage)
  const tree = worktree === undefined ? undefined : treeWatch(worktree, await workspaceState(worktree))
  while (!over.aborted) {
    await delay(LOOK_MS, undefined, { signal: over }).catch(() => {})
    try {
      await flush(host, live)
      const changed = (await tree?.(live.turnsWithoutChange)) ?? false
      const judgement = live.look(rules, changed)
      if (judgement.act === 'end')
        control.stop({
          reason: `stuck:${judgement.rule}`,
          rule: judgement.rule ?? '',
          evidence: judgement.evidence ?? '',
        })
      else if (
        judgement.act === 'steer' &&
        !live.steer(
          `You seem to be stuck: ${judgement.evidence}. Say what you are doing, or go on in another way.`,
        )
      )
        control.stop({
          reason: `stuck:${judgement.rule}`,
          rule: judgement.rule ?? '',
          evidence: judgement.evidence ?? '',
        })
    } catch (error) {
      host.onFault(error)
    }
  }
}

/** Turns for one look at the tree: each is several commands of git, and there may be hundreds of sessions. */
const TURNS_A_LOOK = 5

/** Says, asked with the number of turns in which no change was seen, whether the tree has changed since it was last looked at. */
function treeWatch(worktree: string, first: string): (turns: number) => Promise<boolean> {
  let last = first
  let looked = 0
  return async (turns) => {
    if (turns - looked < TURNS_A_LOOK) return false
    const now = await workspaceState(worktree)
    const changed = now !== last
    last = now
    looked = changed ? 0 : turns
    return changed
  }
}

/** Who only checks may read for long; of work that is not in a worktree nobody sees whether it changes. */
const CHECKERS_TIMES = 5

function stuckRulesOf(host: HostSettings, worktree: string | undefined, stage: string): StuckRules {
  const { turns_without_change: turns } = STUCK_RULES
  return {
    ...STUCK_RULES,
    turns_without_change:
      worktree === undefined
        ? Number.POSITIVE_INFINITY
        : stage === 'implement'
          ? turns
          : turns * CHECKERS_TIMES,
    ...defined(host.ctx.root?.config.orchestrator?.stuck ?? {}),
  }
}

function defined<T extends object>(value: T): Partial<{ [K in keyof T]: Exclude<T[K], undefined> }> {
  // only keys without a value are left out
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Partial<{
    [K in keyof T]: Exclude<T[K], undefined>
  }>
}

/** Everything that is left to report; a fault is told and does not keep the session from its end. */
async function flushAll(host: HostSettings, live: LiveSession): Promise<void> {
  try {
    // the first may be a report that did not arrive before
    await flush(host, live)
    await flush(host, live)
  } catch (error) {
    host.onFault(error)
  }
}

/** Iterations, log and questions since the last time go to the database; what is too much for it into a file. */
async function flush({ ctx, root }: HostSettings, live: LiveSession): Promise<void> {
  const { iterations, chunks, asked } = live.news()
  if (iterations.length > 0 || chunks.length > 0) {
    await ctx.db.read('select swarm.session_log($1, $2, $3::text::jsonb, $4::text::jsonb)', [
      ctx.repo,
      live.sessionId,
      JSON.stringify(iterations),
      JSON.stringify(storable(chunks)),
    ])
  }
  for (const { id, text, options } of asked) {
    await write(
      ctx,
      'ask',
      storable({
        session_id: live.sessionId,
        question_id: `${live.sessionId}/${id}`.slice(0, 200),
        question: text.slice(0, 8_000),
        options: [...options],
      }),
      {},
      `ask/${live.sessionId}/${id}`,
    )
  }
  live.told()
  const rest = live.overflow.splice(0)
  if (rest.length > 0) {
    const dir = join(root, '.swarm', 'logs')
    await mkdir(dir, { recursive: true })
    await appendFile(join(dir, `${live.sessionId}.log`), rest.join(''))
  }
}

interface Ended {
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
function keepWork(
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
async function conclude(
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

function notStarted(why: string, evidence: string): Outcome {
  return { reason: `not_started:${why}`, release: evidence, facts: { evidence } }
}

/** Writes the end of a session. It is sent until it has arrived, or the database is given up: nothing else would end the session. */
async function report(
  { ctx, hostId, vigil, onFault }: HostSettings,
  sessionId: string,
  outcome: Outcome,
): Promise<{ readonly held: boolean }> {
  const { facts, ...rest } = outcome
  const request = storable({ session_id: sessionId, host_id: hostId, ...rest, ...facts })
  for (;;) {
    try {
      return await write<{ readonly held: boolean }>(ctx, 'session-end', request, {}, `end/${sessionId}`)
    } catch (error) {
      const passes = isAway(error) || (error instanceof SwarmError && error.retryable)
      if (!passes) throw error
      onFault(error)
      vigil.failed(error)
      if (vigil.lost.aborted) throw error
      await pauseOrAbort(RESEND_MS, vigil.lost)
    }
  }
}
