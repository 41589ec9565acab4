import type { Action } from '../../src/core/actions.ts'
import type { Rules } from '../../src/core/rules.ts'
import type { ReadyBead, SessionFacts, Snapshot } from '../../src/core/snapshot.ts'

/** A backlog with agents and hosts under a virtual clock: what the database and the hosts would do, without either. */
export interface WorldBead {
  readonly id: string
  readonly priority: string
  readonly blockers: readonly string[]
  status: 'pending' | 'in_progress' | 'blocked' | 'completed'
  stage: 'implement' | 'qa' | 'land'
  attempts: number
  failures: number
  implementer: number | null
  workspace: string | null
  /** How often it was landed; more than once is a fault. */
  landed: number
}

export interface WorldHost {
  readonly id: string
  readonly capacity: Readonly<Record<string, number>>
  readonly adapters: readonly string[]
  alive: boolean
  heard_ms: number
  draining: boolean
  free_disk_mb: number
}

interface WorldSession extends SessionFacts {
  status: SessionFacts['status']
  reason: string | null
  wanted: string | null
  started_ms: number | null
  ended_ms: number | null
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

const STAGES = ['implement', 'qa', 'land'] as const
const MAX_ATTEMPTS = 3
const WINDOW_MS = 900_000

export interface WorldOptions {
  readonly beads: readonly { readonly priority: string; readonly blockers: readonly number[] }[]
  readonly agents: readonly string[]
  readonly hosts: readonly { readonly capacity: number; readonly adapters: readonly string[] }[]
  readonly target: number | null
  readonly waves: 'rolling' | 'strict'
}

export class World {
  now = 1_000_000
  readonly beads = new Map<string, WorldBead>()
  readonly agents: { agent_id: number; role: string }[]
  readonly hosts: WorldHost[]
  sessions: Mutable<WorldSession>[] = []
  run: { -readonly [K in keyof Snapshot['run']]: Snapshot['run'][K] }
  readonly quotas = new Map<string, number>()
  spent = 0
  /** What was seen to be wrong. */
  readonly faults: string[] = []
  #made = 0
  readonly #waves = new Map<string, number>()

  constructor(options: WorldOptions) {
    for (const [at, { priority, blockers }] of options.beads.entries()) {
      const id = `b${at}`
      this.beads.set(id, {
        id,
        priority,
        blockers: blockers.filter((other) => other < at).map((other) => `b${other}`),
        status: 'pending',
        stage: 'implement',
        attempts: 0,
        failures: 0,
        implementer: null,
        workspace: null,
        landed: 0,
      })
    }
    for (const bead of this.beads.values())
      this.#waves.set(bead.id, 1 + Math.max(0, ...bead.blockers.map((other) => this.#waves.get(other) ?? 0)))
    this.agents = options.agents.map((role, at) => ({ agent_id: at + 1, role }))
    this.hosts = options.hosts.map(({ capacity, adapters }, at) => ({
      id: `h${at}`,
      capacity: { '*': capacity },
      adapters,
      alive: true,
      heard_ms: this.now,
      draining: false,
      free_disk_mb: 10_000,
    }))
    this.run = {
      run_id: 'run-1',
      status: 'running',
      pause_reason: null,
      target: options.target,
      waves: options.waves,
      started_ms: this.now,
    }
  }

  /** Time passes; hosts that live are heard. */
  pass(ms: number): void {
    this.now += ms
    for (const host of this.hosts) if (host.alive) host.heard_ms = this.now
  }

  isReady(bead: WorldBead): boolean {
    return (
      bead.status === 'pending' && bead.blockers.every((id) => this.beads.get(id)?.status === 'completed')
    )
  }

  open(): Mutable<WorldSession>[] {
    return this.sessions.filter(({ ended_ms }) => ended_ms === null)
  }

  snapshot(): Snapshot {
    const beads = [...this.beads.values()]
    const ready = beads.filter((bead) => this.isReady(bead))
    const open = beads.filter((bead) => bead.status === 'in_progress' || this.isReady(bead))
    return structuredClone({
      now_ms: this.now,
      run: this.run,
      counts: {
        pending: beads.filter(({ status }) => status === 'pending').length,
        ready: ready.filter(({ stage }) => stage !== 'land').length,
        in_progress: beads.filter(({ status }) => status === 'in_progress').length,
        blocked: beads.filter(({ status }) => status === 'blocked').length,
        landed: beads.filter(({ status }) => status === 'completed').length,
        landing: ready.filter(({ stage }) => stage === 'land').length,
      },
      stages: STAGES.map((stage, at) => ({
        workflow: 'default',
        stage,
        position: at + 1,
        roles: stage === 'land' ? ['swarm'] : stage === 'qa' ? ['reviewer'] : ['implementer'],
        independent: stage === 'qa' ? ('prefer' as const) : null,
      })),
      agents: this.agents.map(({ agent_id, role }) => ({
        agent_id,
        role,
        busy: this.open().some((one) => one.agent_id === agent_id),
      })),
      hosts: this.hosts.map((host) => ({
        host_id: host.id,
        capacity: host.capacity,
        adapters: Object.fromEntries(host.adapters.map((name) => [name, { version: '1' }])),
        silent_ms: this.now - host.heard_ms,
        draining: host.draining,
        free_disk_mb: host.free_disk_mb,
      })),
      sessions: this.sessions.filter(({ ended_ms }) => ended_ms === null || this.now - ended_ms < WINDOW_MS),
      ready: ready
        .filter(({ stage }) => stage !== 'land')
        .map(
          (bead): ReadyBead => ({
            bead_id: bead.id,
            title: bead.id,
            bead_type: 'task',
            labels: [],
            priority: bead.priority,
            workflow: 'default',
            stage: bead.stage,
            wave: this.#waves.get(bead.id) ?? null,
            workspace: bead.workspace,
            created_ms: 0,
            unblocks: beads.filter(({ blockers }) => blockers.includes(bead.id)).length,
            implementer: bead.implementer,
            failures: bead.failures,
          }),
        ),
      quotas: [...this.quotas].map(([account, until_ms]) => ({
        account,
        kind: 'limit',
        used_percent: 100,
        until_ms,
        seen_ms: this.now,
      })),
      spent: { run_usd: this.spent, run_tokens: 0, day_usd: this.spent, day_tokens: 0 },
      bead_spent: {},
      questions: 0,
      waves: [],
      open_wave: open.length === 0 ? null : Math.min(...open.map(({ id }) => this.#waves.get(id) ?? 1)),
    })
  }

  /** Carries one action out as the database would: what the state does not allow any more is refused. */
  act(action: Action, rules: Rules): void {
    switch (action.kind) {
      case 'assign':
        this.#assign(action, rules)
        return
      case 'end_session': {
        const found = this.open().find((one) => one.session_id === action.session_id)
        if (found) found.wanted = action.wanted
        return
      }
      case 'host_lost':
        for (const one of this.open()) if (one.host_id === action.host_id) this.end(one, 'host_lost')
        return
      case 'block_bead': {
        const bead = this.beads.get(action.bead_id)
        if (bead?.status === 'pending') bead.status = 'blocked'
        return
      }
      case 'pause':
        this.run.status = 'paused'
        this.run.pause_reason = action.reason
        return
      case 'complete':
        this.run.status = 'completed'
        return
      case 'stopped':
        this.run.status = 'stopped'
        return
    }
  }

  #assign(action: Extract<Action, { kind: 'assign' }>, rules: Rules): void {
    const bead = this.beads.get(action.bead_id)
    const busy = this.open().some((one) => one.agent_id === action.agent_id || one.bead_id === action.bead_id)
    if (!bead || this.run.status !== 'running' || busy || !this.isReady(bead) || bead.stage !== action.stage)
      return
    const host = this.hosts.find(({ id }) => id === action.host_id)
    const role = this.agents.find(({ agent_id }) => agent_id === action.agent_id)?.role ?? ''
    const wanted = bead.stage === 'qa' ? 'reviewer' : 'implementer'
    if (role !== wanted) this.faults.push(`${action.bead_id} at ${bead.stage} was given to a ${role}`)
    const onHost = this.open().filter((one) => one.host_id === action.host_id && one.role === role).length
    if (onHost >= (host?.capacity['*'] ?? 0))
      this.faults.push(`host ${action.host_id} has more sessions than it may`)
    if (!host?.adapters.includes(action.adapter))
      this.faults.push(`${action.host_id} cannot run ${action.adapter}`)
    if (rules.limits.run !== undefined && this.open().length >= rules.limits.run)
      this.faults.push('the run has more sessions than it may')
    if ((this.quotas.get(action.account) ?? 0) > this.now) this.faults.push(`${action.account} has no quota`)
    bead.status = 'in_progress'
    bead.attempts += 1
    this.sessions.push({
      session_id: `s${++this.#made}`,
      run_id: this.run.run_id,
      host_id: action.host_id,
      agent_id: action.agent_id,
      role,
      adapter: action.adapter,
      account: action.account,
      bead_id: action.bead_id,
      stage: action.stage,
      status: 'running',
      reason: null,
      wanted: null,
      queued_ms: this.now,
      started_ms: this.now,
      ended_ms: null,
      deadline_ms: null,
    })
  }

  /** A session ends; what becomes of its bead depends on the reason, as the hosts do it. */
  end(session: Mutable<WorldSession>, reason: string): void {
    const bead = this.beads.get(session.bead_id)
    session.status = 'ended'
    session.reason = reason
    session.ended_ms = this.now
    if (!bead) return
    bead.workspace = `${session.host_id}:/w/${bead.id}`
    if (reason === 'completed') {
      if (bead.stage === 'implement') bead.implementer = session.agent_id
      bead.stage = bead.stage === 'implement' ? 'qa' : 'land'
      bead.attempts = 0
    } else if (reason === 'failed' || reason === 'crashed' || reason.startsWith('stuck:')) {
      bead.failures += 1
      if (bead.attempts >= MAX_ATTEMPTS) {
        bead.status = 'blocked'
        return
      }
      bead.stage = 'implement'
    } else bead.attempts -= 1
    bead.status = 'pending'
  }

  /** The landing train: what waits for landing lands, or goes back. */
  land(isGreen: () => boolean): void {
    for (const bead of this.beads.values()) {
      if (bead.stage !== 'land' || !this.isReady(bead)) continue
      if (isGreen()) {
        bead.landed += 1
        bead.status = 'completed'
        if (bead.landed > 1) this.faults.push(`${bead.id} landed twice`)
      } else if (++bead.attempts > MAX_ATTEMPTS) bead.status = 'blocked'
      else bead.stage = 'implement'
    }
  }
}
