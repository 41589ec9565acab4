import { setTimeout as delay } from 'node:timers/promises'
import type { JsonObject } from '../contract/json.ts'
import type { Crew, Member } from './crew.ts'
import { type Lane, type Model, startLane, type Tone } from './model.ts'
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
  step(): Promise<void>
  /** Undefined when no agent was killed. */
  report(): IncidentReport | undefined
  /** True when a step is still to be seen: the bead has not come back yet. */
  pending(): boolean
}

export interface IncidentOptions {
  readonly model: Model
  readonly crew: Crew
  readonly operator: SwarmPipe
  /** Takes in what has happened meanwhile. */
  readonly refresh: () => Promise<void>
  readonly elapsedMs: () => number
  readonly leaseMs: number
  /** It happens when this part of the beads is finished… */
  readonly after: number
  /** …but not later than this, so that a long file shows it too. */
  readonly latestMs: number
}

/** A write that was on its way when its process was killed may still take effect: long enough for that to be seen. */
const SETTLE_MS = 100

/**
 * The middle of the demo: one agent is killed with SIGKILL, together with its `swarm` process, while it holds a bead. The
 * bead comes back when its lease ends and is taken over under a higher fence. Then a write with the old fence is sent, as
 * the dead agent would have sent it, and must be refused; and a new agent takes the empty place.
 */
export function createIncident(options: IncidentOptions): Incident {
  const { model, crew, operator, elapsedMs, after, latestMs } = options
  let report: IncidentReport | undefined
  let back = false
  let over = false

  const say = (text: string, tone: Tone = 'alarm') =>
    model.say({ atMs: elapsedMs(), tone, text, weighty: true })

  const kill = async () => {
    const victim = pickVictim(model, crew)
    if (!victim) return
    const { lane, member } = victim
    member.killed = true
    member.peer.kill('SIGKILL')
    lane.state = 'killed'
    lane.leaseEnds = performance.now() + options.leaseMs
    await member.peer.exited
    await delay(SETTLE_MS)
    await options.refresh()
    const bead = lane.bead === undefined ? undefined : model.beads.get(lane.bead)
    say(
      `SIGKILL for agent ${lane.agent} and its swarm; it held ${bead ? `${bead.bead_id}, fence ${bead.fence}` : 'nothing'}`,
    )
    if (bead) report = { agent_id: lane.agent, bead_id: bead.bead_id, fence: bead.fence }
    else await replace(lane.agent)
  }

  const takenOver = async (found: IncidentReport, agent: number, fence: number) => {
    const { agent_id, bead_id } = found
    say(`agent ${agent} takes ${bead_id} over: fence ${found.fence} is now ${fence}`)
    const answer = await operator.ask({
      cmd: 'complete-stage',
      agent_id,
      bead_id,
      fence: found.fence,
      outcome: 'passed',
    })
    const late_write = answer.ok ? 'accepted' : answer.err.code
    say(
      `a late write of agent ${agent_id} under fence ${found.fence} is ${answer.ok ? 'accepted!' : `refused: ${late_write}`}`,
    )
    const replaced_by = await replace(agent_id)
    report = { ...found, taken_over_by: agent, new_fence: fence, late_write, replaced_by }
  }

  const replace = async (agent_id: number) => {
    const { agent_ids } = await operator.get({ cmd: 'register' })
    const agent = Array.isArray(agent_ids) ? Number(agent_ids[0]) : 0
    const at = model.lanes.findIndex((lane) => lane.agent === agent_id)
    model.lanes[at] = startLane(agent)
    await crew.start(agent)
    say(`agent ${agent} takes the place of agent ${agent_id}`, 'plain')
    return agent
  }

  return {
    async step() {
      if (!report) {
        if (model.count.finished >= model.total * after || elapsedMs() > latestMs) await kill()
        return
      }
      const bead = model.beads.get(report.bead_id)
      if (over || !bead || bead.agent === report.agent_id) return
      if (!back) say(`the lease of agent ${report.agent_id} has ended: ${report.bead_id} is back`)
      back = true
      if (bead.claimedBy === undefined || bead.fence <= report.fence) return
      over = true
      await takenOver(report, bead.claimedBy, bead.fence)
    },
    report: () => report,
    pending: () => report !== undefined && !over,
  }
}

/** Somebody in the middle of a bead, the last of them: the eye finds the gap, and the others go on above it. */
function pickVictim(model: Model, crew: Crew): { lane: Lane; member: Member } | undefined {
  for (const lane of [...model.lanes].reverse()) {
    const bead = lane.bead === undefined ? undefined : model.beads.get(lane.bead)
    const member = crew.members.find(({ agent, exit }) => agent === lane.agent && !exit)
    if (lane.state === 'working' && member && bead?.agent === lane.agent && bead.stage !== 'red-queen')
      return { lane, member }
  }
  return undefined
}
