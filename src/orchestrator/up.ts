import { resolve } from 'node:path'
import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import type { RunRow } from '../contract/run-rows.ts'
import { VERSION } from '../contract/version.ts'
import { operatorPath, resolveGate } from '../process/index.ts'
import { write } from '../runtime/write.ts'
import { refusedPush } from '../workspaces/landing.ts'
import { mustFindMaker } from '../workspaces/maker.ts'
import { openRepository, type Repository } from '../workspaces/repository.ts'
import { checkGates } from './check-gates.ts'
import { mustHavePrograms } from './check-programs.ts'
import { checkPrompts } from './check-prompts.ts'
import { checkRules } from './check-rules.ts'
import { createForge } from './forge.ts'
import { type Collected, type CollectOptions, collect } from './gc.ts'
import { createHost, type Host, newHostId } from './host.ts'
import { listen, orchestrate, readRun } from './orchestrate.ts'
import { readOverview } from './overview.ts'
import { plan } from './plan.ts'
import { agentsFor } from './pool.ts'
import { type QaCycle, qaCycle } from './qa-cycle.ts'
import { createRecorder } from './record.ts'
import { capacityOf, landingGates, makerOf, rulesOf } from './settings.ts'
import { tidyLanded } from './tidy.ts'
import { createVigil, type Vigil } from './vigil.ts'

export interface UpOptions {
  readonly target?: number | undefined
  readonly agents?: Readonly<Record<string, number>> | undefined
  readonly adapter?: string | undefined
  readonly resume?: string | undefined
  readonly waves?: 'rolling' | 'strict' | undefined
  readonly continuous?: boolean | undefined
  readonly record?: string | undefined
  readonly dry_run?: boolean | undefined
  readonly reason?: string | undefined
}

const DEFAULT_TICK_MS = 60_000

/** Starts a run, or goes on with one, and drives it to its end with this process as leader and host. */
export async function up(ctx: CommandContext, options: UpOptions) {
  if (ctx.root?.distrust) throw ctx.root.distrust
  const repository = await openWork(ctx)
  await mustHaveGates(ctx, options)
  await checkGates(ctx)
  const before = options.resume === undefined ? undefined : await readRun(ctx, options.resume)
  await mustReachForge(ctx, repository)
  await checkPrompts(ctx)
  const agents = before?.agents ?? (await agentsFor(ctx, options.agents))
  await checkRules(ctx, agents, options.adapter ?? before?.adapter)
  if (options.dry_run) return plan(ctx, { ...options, adapter: options.adapter ?? before?.adapter }, agents)
  if (options.resume === undefined) await mustHavePrograms(ctx, agents, options.adapter)
  const { run_id } =
    options.resume === undefined ? await start(ctx, options, agents) : await resume(ctx, options.resume)
  const run = await readRun(ctx, run_id)
  const adapter = options.adapter ?? run.adapter
  const config = ctx.root?.config ?? {}
  const rules = rulesOf(config, run.agents ?? agents, adapter)
  const vigil = createVigil(away(ctx), () => ({ cmd: 'up', resume: run_id }))
  const host = makeHost(ctx, repository, adapter, capacityOf(run.agents ?? agents), vigil)
  const stop = new AbortController()
  const tell = () => {
    stop.abort()
    sayLeaving(ctx, host)
  }
  ctx.signal.addEventListener('abort', tell, { once: true })
  if (ctx.signal.aborted) tell()
  endWhenHurried(ctx, host)
  const recorder =
    options.record === undefined
      ? undefined
      : await createRecorder(resolve(ctx.cwd, options.record), run_id, ctx.holder, rules, (error) =>
          faults(ctx, error),
        )
  const end = await orchestrate(
    {
      ctx,
      runId: run_id,
      rulesOf: (run) => (run.run_id === run_id ? rules : rulesOf(config, run.agents ?? {}, run.adapter)),
      repository,
      host,
      vigil,
      tickMs: ctx.root?.config.orchestrator?.tick_ms ?? DEFAULT_TICK_MS,
      onTick: recorder?.take,
      onFault: (error) => faults(ctx, error),
    },
    stop.signal,
  ).finally(() => recorder?.close())
  ctx.signal.removeEventListener('abort', tell)
  // a leader that was killed as the run ended has left what nobody comes back for
  if (end.ended_at !== undefined)
    await collect(ctx, repository, {
      dry: false,
      keepLogsMs: Number.POSITIVE_INFINITY,
      knownOnly: true,
    }).catch((error) => faults(ctx, error))
  else ctx.next({ cmd: 'up', resume: run_id })
  return { ...end, overview: await readOverview(ctx, run_id) }
}

/** Makes a run that others drive, by `up` with `resume`. */
export async function startRun(ctx: CommandContext, options: UpOptions) {
  await mustHaveGates(ctx, options)
  const agents = await agentsFor(ctx, options.agents)
  await checkRules(ctx, agents, options.adapter)
  return start(ctx, options, agents)
}

/** Runs sessions for whoever leads, until this process is told to stop; then its sessions finish their turn. */
export async function runWorker(
  ctx: CommandContext,
  options: {
    readonly adapter: string | undefined
    readonly capacity: Readonly<Record<string, number>> | undefined
  },
) {
  if (ctx.root?.distrust) throw ctx.root.distrust
  await checkPrompts(ctx)
  await checkGates(ctx)
  const vigil = createVigil(away(ctx), () => ({ cmd: 'worker' }))
  const capacity = options.capacity ?? capacityOf({})
  const repository = await openWork(ctx)
  const host = makeHost(ctx, repository, options.adapter, capacity, vigil)
  endWhenHurried(ctx, host)
  ctx.signal.addEventListener('abort', () => sayLeaving(ctx, host), { once: true })
  const over = new AbortController()
  const listening = listen(ctx, over.signal, host.wake)
  await host.run(AbortSignal.any([ctx.signal, vigil.lost]))
  over.abort()
  await listening
  const lost = vigil.error()
  if (lost) throw lost
  if (repository) await tidyLanded(ctx, repository).catch((error) => faults(ctx, error))
  return { host_id: newHostId(ctx), ended: 'shutdown' }
}

/** Removes what runs have left on this machine. */
export async function collectHere(ctx: CommandContext, options: CollectOptions): Promise<Collected> {
  return collect(ctx, await openWork(ctx), options)
}

/** One QA cycle over what is known, with the worktrees that are here. */
export async function qaHere(
  ctx: CommandContext,
  request: { readonly run_id?: string | undefined; readonly reason?: string | undefined },
): Promise<QaCycle> {
  // without a repository nothing is known of its worktrees, and the rest is checked all the same
  const repository = await openWork(ctx).catch(() => undefined)
  return qaCycle(ctx, repository, request)
}

function makeHost(
  ctx: CommandContext,
  repository: Repository | undefined,
  adapter: string | undefined,
  capacity: Readonly<Record<string, number>>,
  vigil: Vigil,
): Host {
  const host = createHost({
    ctx,
    hostId: newHostId(ctx),
    repository,
    root: ctx.root?.path ?? ctx.cwd,
    adapter,
    path: ctx.env.PATH ?? '',
    capacity,
    version: VERSION,
    vigil,
    onFault: (error) => faults(ctx, error),
  })
  vigil.lost.addEventListener(
    'abort',
    () => host.endAll({ reason: 'shutdown', evidence: 'the database is given up' }),
    { once: true },
  )
  return host
}

/** Told to stop twice: sessions end at once, their work is kept and their beads go back. */
function endWhenHurried(ctx: CommandContext, host: Host): void {
  const now = () => host.endAll({ reason: 'shutdown', evidence: 'swarm was told twice to stop' })
  ctx.hurried.addEventListener('abort', now, { once: true })
  if (ctx.hurried.aborted) now()
}

function sayLeaving(ctx: CommandContext, host: Host): void {
  const open = host.sessions()
  if (open > 0)
    ctx.echo?.write(
      `swarm: ${open === 1 ? '1 session finishes its turn' : `${open} sessions finish their turn`}; told to stop again, they are ended at once\n`,
    )
}

/** How long the database may be away. */
const away = (ctx: CommandContext) => ctx.root?.config.orchestrator?.database_away_ms

function faults(ctx: CommandContext, error: unknown): void {
  ctx.echo?.write(`swarm: ${error instanceof Error ? error.message : String(error)}\n`)
}

async function openWork(ctx: CommandContext): Promise<Repository | undefined> {
  const { root } = ctx
  if (!root || root.config.orchestrator?.workspace === 'none') return undefined
  const maker = makerOf(root.config, operatorPath(ctx.env))
  const repository = await openRepository(root.path, root.config.landing?.target, maker)
  if (maker) mustFindMaker(maker, repository.root)
  return repository
}

/**
 * Fails closed: work that nothing checks is landed only when the configuration says so, and a gate whose program is not here is said before
 * any attempt is used up by it. One that is named by a path may be what the work makes.
 */
async function mustHaveGates(ctx: CommandContext, { adapter }: UpOptions): Promise<void> {
  const config = ctx.root?.config ?? {}
  for (const [workflow, { stages }] of Object.entries(config.workflows ?? {}))
    for (const { name, gate } of stages)
      if (gate && !gate[0]?.includes('/')) mustFindGate(ctx, gate, workflow, name)
  if (config.orchestrator?.allow_ungated === true || adapter === 'demo') return
  // a bead without another one goes by default, which is there without being written
  const names = new Set(['default', ...Object.keys(config.workflows ?? {})])
  const ungated = [...names].find((name) => landingGates(config, name).length === 0)
  if (ungated === undefined) return
  throw new SwarmError(
    'INVALID',
    `the workflow ${ungated} has no gate: nothing would check what lands of it. Give one of its stages a gate in .swarm/config.toml, or set allow_ungated = true under [orchestrator]`,
    { area: 'configuration', ctx: { kind: 'MissingField', field: `workflows.${ungated}.stages[].gate` } },
  )
}

/** Says before a run begins that pull requests could not be opened: no program, not logged in, a remote that takes no push. */
async function mustReachForge(ctx: CommandContext, repository: Repository | undefined): Promise<void> {
  const landing = ctx.root?.config.landing
  if (landing?.mode !== 'pull_request' || landing.remote === undefined || !repository) return
  await createForge(landing, repository.root, ctx.env).check(ctx.signal)
  const refused = await refusedPush(repository, landing.remote)
  if (refused === undefined) return
  throw new SwarmError('DEPENDENCY', `${landing.remote} takes no push from here: ${refused}`, {
    ctx: { dependency: 'git', field: 'landing.remote', remote: landing.remote },
    retryable: false,
  })
}

function mustFindGate(ctx: CommandContext, gate: readonly string[], workflow: string, stage: string): void {
  const here = ctx.root?.path ?? ctx.cwd
  const [word = '', ...args] = gate
  try {
    resolveGate([word, ...args], { root: here, cwd: here, path: operatorPath(ctx.env) })
  } catch (error) {
    if (!(error instanceof SwarmError)) throw error
    throw error.with({
      message: `the gate of stage ${stage} of workflow ${workflow} cannot be run: ${error.message}`,
      ctx: { ...error.ctx, field: `workflows.${workflow}.stages.gate`, workflow, stage },
    })
  }
}

function start(ctx: CommandContext, options: UpOptions, agents: Readonly<Record<string, number>>) {
  const { target, adapter, reason, continuous } = options
  const waves = options.waves ?? ctx.root?.config.orchestrator?.waves
  const config = {
    agents,
    ...(adapter === undefined ? {} : { adapter }),
    ...(continuous === true ? { continuous } : {}),
  }
  return write<RunRow & { readonly beads: number }>(ctx, 'run-start', {
    agents,
    config,
    ...(target === undefined ? {} : { target }),
    ...(waves === undefined ? {} : { waves }),
    ...(reason === undefined ? {} : { reason }),
  })
}

/** Anybody may join in driving a run: one leads, the others stand by. A run that is paused stays so. */
async function resume(ctx: CommandContext, runId: string): Promise<{ run_id: string }> {
  const run = await readRun(ctx, runId)
  if (run.status === 'stopped' || run.status === 'stopping')
    await write(
      ctx,
      'run-set',
      { run_id: runId, to: 'running', reason: 'resumed' },
      {},
      `resume/${runId}/${crypto.randomUUID()}`,
    )
  return run
}
