import { adapterNamed } from '../agents/adapters.ts'
import type { ResultEvent } from '../agents/events.ts'
import { startSession } from '../agents/session.ts'
import { SwarmError } from '../contract/errors.ts'
import { storable } from '../contract/json.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { newMarker, operatorPath } from '../process/index.ts'
import { readFunction } from '../runtime/read.ts'
import { write } from '../runtime/write.ts'
import { followTarget, keepLate, publish, takeOver } from '../workspaces/exchange.ts'
import { identityOf, isAncestor, type Repository } from '../workspaces/repository.ts'
import {
  ensureWorkspace,
  refreshWorkspace,
  unlockWorkspace,
  type Workspace,
  workspaceFacts,
} from '../workspaces/workspace.ts'
import { conclude, keepWork } from './conclude-session.ts'
import { flushAll, follow } from './follow-session.ts'
import type { HostSettings } from './host-settings.ts'
import { sweepLeftovers } from './leftovers.ts'
import { LiveSession } from './live-session.ts'
import type { Outcome } from './outcome.ts'
import { promptFor } from './prompt.ts'
import { answersOf, type Control, type StartAnswer, type Stop } from './session-order.ts'
import { keptPaths, sessionPaths } from './session-paths.ts'
import { sessionSettings, withAccount } from './settings.ts'
import { tidyLanded } from './tidy.ts'
import { isAway } from './vigil.ts'

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

const RESEND_MS = 1_000
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
          feedback: order.feedback,
          answers: answersOf(order),
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
