import type { JsonObject } from '../contract/json.ts'
import type { Crew, Member } from './crew.ts'
import type { Lane, Model } from './model.ts'
import type { SwarmPipe } from './swarm-pipe.ts'

/** How the death of an agent went, for the summary. */
export interface IncidentReport extends JsonObject {
  readonly agent_id: number
  readonly bead_id: string
  readonly fence: number
  readonly taken_over_by?: number
  readonly new_fence?: number
  /** The code that the dead agent's late write was answered with. */
  readonly late_write?: string
  readonly replaced_by?: number
}

export interface Incident {
  /** Looks at the model and takes the next step of the story when its time has come. */
  step(elapsedMs: number): Promise<void>
  /** Undefined when no agent was killed. */
  report(): IncidentReport | undefined
  /** True when a step is still to be seen: the bead has not come back yet. */
  pending(): boolean
}

export interface IncidentOptions {
  readonly model: Model
  readonly crew: Crew
  readonly operator: SwarmPipe
  readonly leaseMs: number
  /** Part of the beads that must be finished before. */
  readonly after: number
}

/**
 * The middle of the demo: one agent is killed with SIGKILL, together with its `swarm` process, while it holds a bead. The
 * bead comes back when its lease ends and is taken over under a higher fence. Then a write with the old fence is sent, as
 * the dead agent would have sent it, and must be refused; and a new agent takes the empty place.
 */
export function createIncident({ model, crew, operator, leaseMs, after }: IncidentOptions): Incident {
  let report: IncidentReport | undefined
  let back = false
  let over = false

  const say = (elapsedMs: number, text: string, tone: 'alarm' | 'plain' = 'alarm') => {
    model.say({ atMs: elapsedMs, tone, text, weighty: true })
  }

  const kill = (elapsedMs: number, lane: Lane, member: Member, beadId: string, fence: number) => {
    member.peer.kill('SIGKILL')
    lane.state = 'killed'
    lane.leaseEnds = performance.now() + leaseMs
    report = { agent_id: lane.agent, bead_id: beadId, fence }
    say(elapsedMs, `agent ${lane.agent} and its swarm are killed with SIGKILL; it held ${beadId} under fence ${fence}`)
  }

  const lateWrite = async (elapsedMs: number, { agent_id, bead_id, fence }: IncidentReport) => {
    const answer = await operator.ask({ cmd: 'complete-stage', agent_id, bead_id, fence, outcome: 'passed' })
    const late_write = answer.ok ? 'accepted' : answer.err.code
    say(elapsedMs, `a late write of agent ${agent_id} with fence ${fence} is ${answer.ok ? 'accepted!' : `refused: ${late_write}`}`)
    return { late_write }
  }

  const replace = async (elapsedMs: number, agent_id: number) => {
    const { agent_ids } = await operator.get({ cmd: 'register' })
    const replaced_by = Array.isArray(agent_ids) ? Number(agent_ids[0]) : 0
    const at = model.lanes.findIndex((lane) => lane.agent === agent_id)
    model.lanes[at] = { agent: replaced_by, state: 'starting', bead: undefined, leaseEnds: undefined, replaces: agent_id }
    await crew.start(replaced_by)
    say(elapsedMs, `agent ${replaced_by} takes the place of agent ${agent_id}`, 'plain')
    return { replaced_by }
  }

  return {
    async step(elapsedMs) {
      if (!report) {
        if (model.count.finished < model.total * after) return
        const victim = pickVictim(model, crew)
        if (victim) kill(elapsedMs, victim.lane, victim.member, victim.beadId, victim.fence)
        return
      }
      const bead = model.beads.get(report.bead_id)
      if (over || !bead) return
      if (!back && bead.agent !== report.agent_id) {
        back = true
        say(elapsedMs, `the lease of agent ${report.agent_id} has ended: ${report.bead_id} is back`)
      }
      if (bead.agent === undefined || bead.agent === report.agent_id || bead.fence <= report.fence) return
      over = true
      report = { ...report, taken_over_by: bead.agent, new_fence: bead.fence }
      say(elapsedMs, `agent ${bead.agent} takes ${report.bead_id} over: fence ${report.fence} is now ${bead.fence}`)
      report = { ...report, ...(await lateWrite(elapsedMs, report)) }
      report = { ...report, ...(await replace(elapsedMs, report.agent_id)) }
    },
    report: () => report,
    pending: () => report !== undefined && !over,
  }
}

/** Somebody in the middle of a bead: not at its first stage, and not agent 1, so that the eye finds the gap. */
function pickVictim(model: Model, crew: Crew) {
  for (const lane of [...model.lanes].reverse()) {
    const bead = lane.bead === undefined ? undefined : model.beads.get(lane.bead)
    const member = crew.members.find(({ agent, gone }) => agent === lane.agent && !gone)
    if (lane.state === 'working' && member && bead && bead.agent === lane.agent && bead.stage !== 'contract') {
      return { lane, member, beadId: bead.bead_id, fence: bead.fence }
    }
  }
  return undefined
}
