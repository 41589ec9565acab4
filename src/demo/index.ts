import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'
import type { Overview } from '../contract/run-rows.ts'
import { exampleBacklog } from './backlog.ts'
import { type Board, createBoard } from './board.ts'
import { checkGit, checkLeft, checkRows, readRows } from './checks.ts'
import { createScratch, DEMO_REPO, type Scratch } from './scratch.ts'
import { createScreen, type Screen } from './screen.ts'
import { createStory } from './story.ts'
import { createStyle, type Style } from './style.ts'
import { findProblems, summaryLines } from './summary.ts'
import { openSwarm, type SwarmPipe } from './swarm-pipe.ts'
import { LEAVE_MS, startUp, type Up } from './ups.ts'
import { watchEvents } from './watch.ts'

export interface DemoOptions {
  /** A file of JSON lines to work through instead of the example. */
  readonly path?: string | undefined
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where it is watched. */
  readonly out: NodeJS.WriteStream
  /** How `swarm` is started. */
  readonly swarm: readonly string[]
  readonly seed: number
  /** Stops the demo and everything that it started. */
  readonly signal: AbortSignal
}

const AGENTS = { implementer: 3, reviewer: 2 }
/** How long a demo agent works; one that checks says no now and then. */
const PACE_MS = 250
const REFUSED = 0.15
const FRAME_MS = 100
/** However it goes, the demo ends. */
const LONGEST_MS = 90_000
const LONGEST_PER_BEAD_MS = 5_000

/**
 * Shows swarm at work: two processes of `swarm up` take a backlog to commits on the branch of a bare remote, with demo agents in a scratch
 * repository. An agent and then the leader are killed. At the end the rows are held against git. Answers what happened; throws INTERNAL
 * when a check fails. Everything that was started is stopped, whatever happens.
 */
export async function runDemo(options: DemoOptions): Promise<JsonObject> {
  const { out, env } = options
  const style = createStyle(out.isTTY === true && out.hasColors(), env)
  const screen = createScreen(out, style, env)
  const stops: (() => Promise<unknown>)[] = [async () => screen.close()]
  try {
    return await play(options, screen, style, (stop) => void stops.unshift(stop))
  } catch (error) {
    if (!options.signal.aborted) throw error
    screen.print([
      '',
      ` ${style.yellow('stopping the agents and the server, deleting the scratch directory')}`,
    ])
    return { reason: 'shutdown' }
  } finally {
    await stopAll(stops)
  }
}

/** Every one is stopped, whatever becomes of the others. */
async function stopAll(stops: readonly (() => Promise<unknown>)[]): Promise<void> {
  const faults: unknown[] = []
  for (const stop of stops) {
    try {
      await stop()
    } catch (error) {
      faults.push(error)
    }
  }
  if (faults.length > 0) throw faults[0]
}

type OnStop = (stop: () => Promise<unknown>) => void

async function play(options: DemoOptions, screen: Screen, style: Style, onStop: OnStop): Promise<JsonObject> {
  const { signal, swarm } = options
  const step = async <T>(text: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now()
    const result = await work()
    screen.print([` ${text} ${style.dim(`${((performance.now() - started) / 1_000).toFixed(1)} s`)}`])
    signal.throwIfAborted()
    return result
  }
  screen.print([
    ` ${style.bold('swarm demo')}: a backlog becomes commits; an agent and the leader are killed half-way`,
  ])
  const scratch = await step('a scratch repository with a bare remote, and Postgres 18', async () => {
    const faults = [{ fault: 'failed', stages: ['qa'], attempts: [1], chance: REFUSED }]
    const made = await createScratch({ seed: options.seed, pace_ms: PACE_MS, faults })
    onStop(() => made.remove())
    return made
  })
  const operator = await openSwarm({ swarm, cwd: scratch.root, env: scratch.env })
  onStop(() => operator.close())
  await step(`swarm import ${options.path ?? 'the example backlog'}`, async () => {
    await operator.get({ cmd: 'init-db' })
    await importBacklog(options, scratch, operator)
  })

  const started = performance.now()
  const elapsedMs = () => performance.now() - started
  const ups: Up[] = []
  onStop(() => Promise.all(ups.map(({ peer }) => peer.end(LEAVE_MS))))
  const agents = Object.entries(AGENTS).map(([role, count]) => `${role}=${count}`)
  const runId = await step(`swarm up --agents ${agents.join(',')}, and a stand-by`, async () => {
    ups.push(await startUp(swarm, scratch, ['--agents', agents.join(',')]))
    const found = await runOf(operator, ups, signal)
    ups.push(await startUp(swarm, scratch, ['--resume', found]))
    return found
  })
  const board = await boardOf(scratch, operator)
  const story = createStory(scratch, board, ups, elapsedMs)
  const watch = await watchEvents(operator, board, elapsedMs)
  const longest = LONGEST_MS + LONGEST_PER_BEAD_MS * board.total
  screen.print([''])
  let ended = false
  while (!ended && elapsedMs() < longest) {
    ended = ups.every((up) => up.exit() !== undefined)
    const overview = await look(operator, runId)
    await watch.refresh()
    board.see(overview)
    await story.step(overview)
    screen.show(board, elapsedMs())
    if (overview.run?.status === 'paused') break
    if (!ended) await delay(FRAME_MS, undefined, { signal })
  }
  signal.throwIfAborted()
  const workedMs = elapsedMs()
  const running = ups.filter((up) => up.exit() === undefined)
  const overview = await look(operator, runId)
  const faults = [
    ...running.map(({ peer }) => `swarm up (pid ${peer.pid}) did not end by itself`),
    ...(overview.run?.pause_reason === undefined ? [] : [`the run is paused: ${overview.run.pause_reason}`]),
    ...ups.flatMap((up) => up.faults()),
  ]
  await Promise.all(running.map(({ peer }) => peer.end(LEAVE_MS)))

  const rows = await readRows((statement, params) => scratch.db.read(statement, params), DEMO_REPO)
  const answered = ups.map((up) => up.answer()?.landed).find((landed) => landed !== undefined)
  const checks = [
    checkRows(rows, typeof answered === 'number' ? answered : undefined),
    ...(await checkGit(rows, scratch)),
    await checkLeft(rows, scratch, ups.filter((up) => up.exit() === undefined).length),
  ]
  const outcome = {
    landed: rows.completed.length,
    sessions: rows.sessions,
    retried: watch.counts().retried,
    blocked: overview.beads.blocked ?? 0,
    left: overview.beads.pending ?? 0,
    workedMs,
    agent: story.agent(),
    leader: story.leader(),
    checks,
    faults,
  }
  screen.print(summaryLines(outcome, style))
  const problems = findProblems(outcome)
  if (problems.length > 0) {
    throw new SwarmError('INTERNAL', `the demo found what must not be: ${problems.join('; ')}`, {
      ctx: { checks },
    })
  }
  const { landed, sessions, retried, blocked, left } = outcome
  return {
    beads: rows.beads,
    landed,
    blocked,
    left,
    sessions,
    retried,
    worked_ms: Math.round(workedMs),
    checks,
    killed: {
      ...(outcome.agent ? { agent: outcome.agent } : {}),
      ...(outcome.leader ? { leader: outcome.leader } : {}),
    },
  }
}

/** Imports the file, or the example, with finished beads reopened: a finished backlog runs again. */
async function importBacklog(
  { path, cwd }: DemoOptions,
  scratch: Scratch,
  operator: SwarmPipe,
): Promise<void> {
  let file = path === undefined ? undefined : resolve(cwd, path)
  if (file === undefined) {
    file = join(scratch.tmp, 'backlog.jsonl')
    writeFileSync(
      file,
      exampleBacklog()
        .map((bead) => `${JSON.stringify(bead)}\n`)
        .join(''),
    )
  }
  const answer = await operator.ask({ cmd: 'import', path: file, reopen: true })
  if (answer.ok) return
  throw new SwarmError('INVALID', `${path ?? 'the example'} could not be imported: ${answer.err.msg}`, {
    ctx: { kind: 'InvalidValue', field: 'path', got: path ?? file },
    fix: { cmd: 'demo' },
  })
}

/** The run that the first `swarm up` has begun. */
async function runOf(operator: SwarmPipe, ups: readonly Up[], signal: AbortSignal): Promise<string> {
  for (;;) {
    const { run } = await look(operator)
    if (run) return run.run_id
    const [gone] = ups.filter((up) => up.exit() !== undefined)
    if (gone) throw new SwarmError('INTERNAL', `no run was begun: ${gone.faults().join('; ')}`)
    await delay(FRAME_MS, undefined, { signal })
  }
}

async function look(operator: SwarmPipe, run_id?: string): Promise<Overview> {
  const d: JsonObject = await operator.get({ cmd: 'ps', ...(run_id === undefined ? {} : { run_id }) })
  // the answer to `ps` is what its output schema says
  return d as unknown as Overview
}

async function boardOf({ db }: Scratch, operator: SwarmPipe): Promise<Board> {
  const beads = await db.read<{ bead_id: string; title: string }>(
    'select bead_id, title from swarm.bead_backlog where repo_id = $1',
    [DEMO_REPO],
  )
  const agents = await db.read<{ agent_id: number; role: string }>(
    `select agent_id, role from swarm.agent_state where repo_id = $1 and role in (select jsonb_array_elements_text($2::text::jsonb)) order by agent_id`,
    [DEMO_REPO, JSON.stringify(Object.keys(AGENTS))],
  )
  const overview = await look(operator)
  const { pending = 0, in_progress = 0, completed = 0 } = overview.beads
  return createBoard(
    new Map(beads.map(({ bead_id, title }) => [bead_id, title])),
    agents,
    pending + in_progress + completed,
  )
}
