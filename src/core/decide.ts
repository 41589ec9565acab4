import { chooseAccount } from './accounts.ts'
import type { Action, Decision, Waiting, Why } from './actions.ts'
import { chooseHost, openSessions } from './admit.ts'
import { budgetActions, overBudget, overReserve, reserveOf } from './budget.ts'
import type { RoleRule, Rules, Translation } from './rules.ts'
import type { AgentFacts, ReadyBead, Snapshot, StageFacts } from './snapshot.ts'
import { meltdown, standingOf } from './supervise.ts'
import { ruleName, type Translated, translate } from './translate.ts'

/**
 * All that a leader does at one tick, from facts alone: the same snapshot gives the same decision. Nothing is remembered between ticks.
 */
export function decide(snapshot: Snapshot, rules: Rules): Decision {
  const { run } = snapshot
  if (run.status === 'stopped' || run.status === 'completed' || run.status === 'failed')
    return { actions: [], waiting: [] }
  const lost = lostHosts(snapshot, rules)
  const ending = endOfRun(snapshot)
  if (ending.length > 0) return { actions: [...lost, ...ending], waiting: [] }
  const melted = run.status === 'running' ? meltdown(snapshot, rules) : undefined
  const money = budgetActions(snapshot, rules)
  const paused = money.find(({ kind }) => kind === 'pause') ?? melted
  if (run.status !== 'running' || paused) {
    return {
      actions: [...lost, ...money, ...(melted && paused === melted ? [melted] : [])],
      waiting: snapshot.ready.map(({ bead_id }) => ({
        bead_id,
        why: 'run' as const,
        detail:
          paused?.reason ?? `the run is ${run.status}${run.pause_reason ? `: ${run.pause_reason}` : ''}`,
      })),
    }
  }
  const { actions, waiting } = assignments(snapshot, rules)
  const stuck = nothingRuns(snapshot, actions, waiting)
  return {
    actions: [...lost, ...money, ...newBeads(snapshot), ...waveActions(snapshot), ...actions, ...stuck],
    waiting,
  }
}

/** Where every bead waits for a program that is missing, not logged in or wrongly configured, a person has to mend that: the run pauses. */
function nothingRuns(snapshot: Snapshot, actions: readonly Action[], waiting: readonly Waiting[]): Action[] {
  const [first] = waiting
  const isIdle =
    openSessions(snapshot).length === 0 &&
    snapshot.counts.landing === 0 &&
    !actions.some(({ kind }) => kind === 'assign')
  return first && isIdle && waiting.every(({ why }) => why === 'no_adapter' || why === 'login')
    ? [{ kind: 'pause', reason: `${first.detail}; unpause when it is mended` }]
    : []
}

/** A continuous run takes in what has come since. */
function newBeads({ run, counts: { free = 0 } }: Snapshot): Action[] {
  return run.continuous && free > 0
    ? [{ kind: 'adopt', reason: `${free === 1 ? '1 bead has' : `${free} beads have`} come` }]
    : []
}

function lostHosts({ hosts, sessions }: Snapshot, rules: Rules): Action[] {
  return hosts
    .filter(
      ({ host_id, silent_ms }) =>
        silent_ms >= rules.host_lost_ms &&
        sessions.some((one) => one.host_id === host_id && one.ended_ms === null),
    )
    .map(({ host_id, silent_ms }) => ({
      kind: 'host_lost' as const,
      host_id,
      reason: `no heartbeat for ${Math.round(silent_ms / 1_000)} s`,
    }))
}

/** Whether the run is over: its target has landed, it was told to stop and has, or nothing can go on without a person. */
function endOfRun(snapshot: Snapshot): Action[] {
  const { run, counts, questions } = snapshot
  const open = openSessions(snapshot).filter((one) => one.run_id === run.run_id)
  if (run.status === 'stopping') {
    return open.length === 0 ? [{ kind: 'stopped', reason: 'its last session has ended' }] : []
  }
  if (run.target !== null && counts.landed >= run.target) {
    const rest = open.filter(({ wanted }) => wanted === null)
    const reason = `${counts.landed} of ${run.target} have landed`
    if (open.length === 0) return [{ kind: 'complete', reason }]
    return rest.map(({ session_id }) => ({ kind: 'end_session', session_id, wanted: 'shutdown', reason }))
  }
  if (open.length > 0 || counts.in_progress > 0 || counts.landing > 0 || counts.ready > 0 || questions > 0)
    return []
  if (run.status !== 'running' || run.continuous) return []
  if (counts.pending === 0 && counts.blocked === 0) {
    return [{ kind: 'complete', reason: `all ${counts.landed} beads have landed` }]
  }
  const told = `${counts.landed} landed, ${counts.blocked} blocked, ${counts.pending} waiting for them`
  return run.target === null
    ? [{ kind: 'complete', reason: `nothing more can be done without a person: ${told}` }]
    : [{ kind: 'pause', reason: `the target of ${run.target} can no longer be reached: ${told}` }]
}

/** A wave is the beads of one depth: it is completed when the lowest open wave is a later one. */
function waveActions({ waves, open_wave }: Snapshot): Action[] {
  const running = waves.filter(({ status }) => status === 'running')
  const completed = running
    .filter(({ number }) => open_wave === null || number < open_wave)
    .map(
      ({ number }): Action => ({
        kind: 'wave_completed',
        number,
        reason: 'all its beads are finished or blocked',
      }),
    )
  const known = waves.some(({ number }) => number === open_wave)
  return open_wave === null || known
    ? completed
    : [...completed, { kind: 'wave_started', number: open_wave, reason: 'its blockers have landed' }]
}

/** How much is taken while a tick gives out work. */
interface Taken {
  readonly agents: Set<number>
  /** By `<host> <role>` and by host. */
  readonly hosts: Map<string, number>
  readonly counts: Map<string, number>
  inRun: number
  started: number
}

function assignments(read: Snapshot, rules: Rules): { actions: Action[]; waiting: Waiting[] } {
  const { beads, actions, waiting } = translate(read, rules)
  const snapshot = { ...read, ready: beads.map(({ bead }) => bead) }
  const taken = takenBy(snapshot)
  const roomForTarget =
    snapshot.run.target === null ? Number.POSITIVE_INFINITY : snapshot.run.target - inFlight(snapshot)
  let admitted = 0
  for (const one of inOrder(beads)) {
    const { bead } = one
    const wait = (why: Why, detail: string) => waiting.push({ bead_id: bead.bead_id, why, detail })
    if (bead.failures >= rules.failures_per_bead) {
      actions.push({
        kind: 'block_bead',
        bead_id: bead.bead_id,
        reason: `${bead.failures} sessions over its life have failed`,
      })
      continue
    }
    const begun = isBegun(bead, snapshot)
    if (!begun && admitted >= roomForTarget) {
      wait('target', `enough beads are under way for the target of ${snapshot.run.target}`)
      continue
    }
    const choice = chooseFor(one, snapshot, rules, taken)
    if ('why' in choice) {
      wait(choice.why, choice.detail)
      continue
    }
    if (!begun) admitted += 1
    actions.push(choice)
  }
  return { actions, waiting }
}

/** By priority, then by how many wait for it, then by age. */
function inOrder(ready: readonly Translated[]): readonly Translated[] {
  return [...ready].sort(({ bead: a }, { bead: b }) =>
    a.priority !== b.priority
      ? a.priority < b.priority
        ? -1
        : 1
      : b.unblocks - a.unblocks || a.created_ms - b.created_ms || (a.bead_id < b.bead_id ? -1 : 1),
  )
}

/** Beads that will land without any more being begun. */
function inFlight({ counts, ready, stages }: Snapshot): number {
  const begun = ready.filter((bead) => !isFirst(bead, stages)).length
  return counts.landed + counts.landing + counts.in_progress + begun
}

function isBegun(bead: ReadyBead, { stages }: Snapshot): boolean {
  return !isFirst(bead, stages)
}

function isFirst({ workflow, stage }: ReadyBead, stages: readonly StageFacts[]): boolean {
  const own = stages.filter((one) => one.workflow === workflow)
  return own.every(
    (one) => one.stage === stage || one.position > (own.find((mine) => mine.stage === stage)?.position ?? 0),
  )
}

function takenBy(snapshot: Snapshot): Taken {
  const taken: Taken = { agents: new Set(), hosts: new Map(), counts: new Map(), inRun: 0, started: 0 }
  for (const one of openSessions(snapshot)) {
    taken.agents.add(one.agent_id)
    // who waits for a person or for a quota holds no slot
    if (one.status === 'asking' || one.status === 'held') continue
    count(taken, one.host_id, one.role ?? '*', one.adapter, one.account, one.run_id === snapshot.run.run_id)
  }
  return taken
}

function count(
  taken: Taken,
  host: string,
  role: string,
  adapter: string,
  account: string,
  own: boolean,
): void {
  const add = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1)
  add(taken.hosts, `${host} ${role}`)
  add(taken.hosts, host)
  for (const key of [`role ${role}`, `adapter ${adapter}`, `account ${account}`]) add(taken.counts, key)
  if (own) taken.inRun += 1
}

type Choice = Extract<Action, { kind: 'assign' }> | { readonly why: Why; readonly detail: string }

function chooseFor(
  { bead, rule: own, moved }: Translated,
  snapshot: Snapshot,
  rules: Rules,
  taken: Taken,
): Choice {
  const { run, open_wave } = snapshot
  if (run.waves === 'strict' && open_wave !== null && bead.wave !== null && bead.wave > open_wave)
    return { why: 'wave', detail: `wave ${open_wave} is not finished` }
  if (bead.asking)
    return { why: 'question', detail: 'a question about it waits for an answer: see questions' }
  const dear = overBudget(bead, snapshot, rules)
  if (dear) return { why: 'budget', detail: dear }
  const full = overReserve(snapshot, rules, taken.started)
  if (full) return { why: 'budget', detail: full }
  const agent = chooseAgent(bead, own, snapshot, rules, taken)
  if ('why' in agent) return agent
  const role = agent.role ?? ''
  const rule = own?.roles?.[role] ?? rules.roles[role]
  if (!rule) return { why: 'no_adapter', detail: `no adapter is configured for ${role}` }
  const limited = limitOf(role, rule, rules, taken)
  if (limited) return { why: 'limit', detail: limited }
  const account = chooseAccount(rule, snapshot, rules, (name) => taken.counts.get(`account ${name}`) ?? 0)
  if (typeof account !== 'string') return account
  const found = chooseHost(bead, role, rule.adapter, snapshot, rules, taken.hosts)
  if ('why' in found) return found
  if (taken.started >= rules.spawn_per_tick)
    return { why: 'throttled', detail: `${rules.spawn_per_tick} sessions start at a tick` }
  taken.started += 1
  const reserve = Object.keys(rules.budgets).length > 0 ? reserveOf(snapshot) : { usd: 0, tokens: 0 }
  taken.agents.add(agent.agent_id)
  count(taken, found.host.host_id, role, rule.adapter, account, true)
  return {
    kind: 'assign',
    bead_id: bead.bead_id,
    stage: bead.stage,
    agent_id: agent.agent_id,
    host_id: found.host.host_id,
    adapter: rule.adapter,
    account,
    ...(rule.model === undefined ? {} : { model: rule.model }),
    ...(reserve.usd > 0 ? { reserve_usd: reserve.usd } : {}),
    ...(reserve.tokens > 0 ? { reserve_tokens: reserve.tokens } : {}),
    ...(moved ? { workflow: bead.workflow } : {}),
    ...(own ? { rule: ruleName(own) } : {}),
    reason: `ready at ${bead.stage}, ${bead.priority}, unblocks ${bead.unblocks}; agent ${agent.agent_id} (${role}) is free${own ? `; by ${ruleName(own)}` : ''}`,
  }
}

function chooseAgent(
  bead: ReadyBead,
  rule: Translation | undefined,
  snapshot: Snapshot,
  rules: Rules,
  taken: Taken,
): AgentFacts | { readonly why: Why; readonly detail: string } {
  const stage = snapshot.stages.find((one) => one.workflow === bead.workflow && one.stage === bead.stage)
  const allowed = stage?.roles ?? null
  const named = rule?.role
  // a role that may not do the stage says nothing about it
  const roles = named !== undefined && (allowed === null || allowed.includes(named)) ? [named] : allowed
  // agents without a role of their own are a person's: the run has its own, by role
  const able = snapshot.agents.filter(
    ({ role }) =>
      role !== null && (roles === null || roles.includes(role)) && Object.hasOwn(rules.roles, role),
  )
  if (able.length === 0)
    return {
      why: 'no_agent',
      detail: `no agent may do ${bead.stage}${roles ? ` (${roles.join(', ')})` : ''}`,
    }
  const others = able.filter(({ agent_id }) => agent_id !== bead.implementer)
  const fitting =
    !stage?.independent || (others.length === 0 && stage.independent === 'prefer') ? able : others
  if (fitting.length === 0)
    return {
      why: 'independent',
      detail: `${bead.stage} must be done by another agent than ${bead.implementer}`,
    }
  const idle = fitting.filter(({ agent_id, busy }) => !busy && !taken.agents.has(agent_id))
  if (idle.length === 0) return { why: 'no_agent', detail: `every agent that may do ${bead.stage} is busy` }
  const standings = idle.map((agent) => ({ agent, standing: standingOf(agent.agent_id, snapshot, rules) }))
  const ready = standings.find(({ standing }) => standing.free)
  if (ready) return ready.agent
  const [first] = standings
  const standing = first?.standing
  return {
    why: 'backoff',
    detail: `agent ${first?.agent.agent_id} ${standing?.free === false ? standing.why : ''}`,
  }
}

function limitOf(role: string, rule: RoleRule, { limits }: Rules, taken: Taken): string | undefined {
  if (limits.run !== undefined && taken.inRun >= limits.run)
    return `${limits.run} sessions of the run at once`
  const ofRole = limits.role?.[role]
  if (ofRole !== undefined && (taken.counts.get(`role ${role}`) ?? 0) >= ofRole)
    return `${ofRole} sessions of role ${role} at once`
  const ofAdapter = limits.adapter?.[rule.adapter]
  if (ofAdapter !== undefined && (taken.counts.get(`adapter ${rule.adapter}`) ?? 0) >= ofAdapter)
    return `${ofAdapter} sessions of ${rule.adapter} at once`
  return undefined
}
