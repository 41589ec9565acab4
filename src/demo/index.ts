import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'
import { exampleBacklog } from './backlog.ts'
import { checkInvariants, countStages, countTotals, readBacklog } from './checks.ts'
import { type Crew, createCrew } from './crew.ts'
import { createIncident } from './incident.ts'
import { createModel, progress, startLane } from './model.ts'
import { createPace } from './pace.ts'
import { createScratch, type Scratch } from './scratch.ts'
import { createScreen, type Screen } from './screen.ts'
import { createStyle, type Style } from './style.ts'
import { findProblems, summaryLines } from './summary.ts'
import { openSwarm, type SwarmPipe } from './swarm-pipe.ts'
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

const AGENTS = [1, 2, 3, 4]
/** Short, so that a bead is soon back; renewed three times as often by the agent's own swarm. */
const LEASE_MS = 2_000
const TARGET_MS = 7_000
/** However long the file is, the agents are told to stop after this. */
const LONGEST_MS = 12_000
const KILL_AFTER = 0.4
const KILL_LATEST_MS = 5_000
const FRAME_MS = 80
const ADJUST_MS = 500

/**
 * Shows swarm at work: four agent processes take a backlog through its stages in a scratch root, and one of them is killed.
 * Answers what happened; throws INTERNAL when an invariant does not hold. Everything that was started is stopped, whatever
 * happens.
 */
export async function runDemo(options: DemoOptions): Promise<JsonObject> {
  const { out, env } = options
  const style = createStyle(out.isTTY === true && out.hasColors(), env)
  const screen = createScreen(out, style, env)
  const stops: (() => Promise<void> | void)[] = [() => screen.close()]
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
async function stopAll(stops: readonly (() => Promise<void> | void)[]): Promise<void> {
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

type OnStop = (stop: () => Promise<void> | void) => void

async function play(options: DemoOptions, screen: Screen, style: Style, onStop: OnStop): Promise<JsonObject> {
  const { signal } = options
  const step = async <T>(text: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now()
    const result = await work()
    screen.print([` ${text} ${style.dim(`${((performance.now() - started) / 1_000).toFixed(1)} s`)}`])
    signal.throwIfAborted()
    return result
  }
  screen.print([
    ` ${style.bold('swarm demo')}: four agents work through a backlog, and one of them is killed`,
  ])
  const scratch = await step('Postgres 18 in a scratch directory', async () => {
    const made = await createScratch()
    onStop(() => made.remove())
    return made
  })
  const operator = await openSwarm({ swarm: options.swarm, cwd: scratch.root, env: scratch.env })
  onStop(() => operator.close())
  await step('swarm init', () => operator.get({ cmd: 'init', count: AGENTS.length }))
  await step(`swarm import ${options.path ?? 'the example backlog'}`, () =>
    importBacklog(options, scratch, operator),
  )

  const { db } = scratch
  const model = createModel(await readBacklog(db))
  const stagesPerBead = await countStages(db)
  const pace = createPace(model.total * stagesPerBead, AGENTS.length, TARGET_MS)
  const orders = { lease_ms: LEASE_MS, pace_ms: pace.ms, seed: options.seed, swarm: options.swarm }
  const crew = createCrew(scratch, orders, AGENTS)
  onStop(() => crew.stop())
  model.lanes.push(...AGENTS.map(startLane))

  const started = performance.now()
  const elapsedMs = () => performance.now() - started
  const watch = await watchEvents(operator, model, elapsedMs)
  const { refresh } = watch
  const incident = createIncident({
    model,
    crew,
    operator,
    refresh,
    elapsedMs,
    leaseMs: LEASE_MS,
    after: KILL_AFTER,
    latestMs: KILL_LATEST_MS,
  })
  await Promise.all(AGENTS.map((agent) => crew.start(agent)))
  screen.print([''])
  let adjusted = 0
  while (!allGone(crew) && elapsedMs() < LONGEST_MS && !signal.aborted) {
    await refresh()
    await incident.step()
    followCrew(crew, model)
    if (elapsedMs() - adjusted > ADJUST_MS) {
      adjusted = elapsedMs()
      crew.setPace(pace.adjust(elapsedMs(), progress(model, stagesPerBead)))
    }
    screen.show(model, { elapsedMs: elapsedMs(), progress: progress(model, stagesPerBead) })
    await delay(FRAME_MS, undefined, { signal })
  }
  signal.throwIfAborted()
  const workedMs = elapsedMs()
  await crew.stop()
  await refresh()
  followCrew(crew, model)
  screen.show(model, { elapsedMs: workedMs, progress: progress(model, stagesPerBead) })

  const verdict = await checkInvariants(db, crew.acknowledged.finished)
  const totals = await countTotals(db, watch.from)
  const report = incident.report()
  const problems = findProblems(verdict, report, crew.faults())
  const cutShort = workedMs >= LONGEST_MS
  screen.print(summaryLines({ totals, verdict, incident: report, workedMs, cutShort, problems }, style))
  if (problems.length > 0) {
    throw new SwarmError('INTERNAL', `the demo found what must not be: ${problems.join('; ')}`, {
      ctx: { ...verdict },
    })
  }
  return {
    ...totals,
    worked_ms: Math.round(workedMs),
    invariants: verdict,
    ...(report ? { killed: report } : {}),
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
    file = join(scratch.root, 'backlog.jsonl')
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

function allGone(crew: Crew): boolean {
  return crew.members.every(({ exit }) => exit)
}

/** What the event log does not tell: who has begun and who has left. */
function followCrew(crew: Crew, { lanes }: ReturnType<typeof createModel>): void {
  for (const lane of lanes) {
    const member = crew.members.find(({ agent }) => agent === lane.agent)
    if (lane.state === 'killed' || !member) continue
    if (member.exit) lane.state = 'done'
    else if (lane.state === 'starting' && member.ready) lane.state = 'idle'
  }
}
