import type { EventRow } from '../contract/events.ts'
import { isJsonObject } from '../contract/json.ts'

/** A bead as the demo shows it. */
export interface BeadView {
  readonly bead_id: string
  readonly title: string
  status: string
  stage: string
  attempt: number
  fence: number
  /** Who holds it. */
  agent: number | undefined
  /** Who claimed it last. */
  claimedBy: number | undefined
  /** Open beads that it waits for. */
  readonly waitsFor: Set<string>
}

/** What one agent does. */
export interface Lane {
  readonly agent: number
  state: 'starting' | 'working' | 'idle' | 'killed' | 'done'
  bead: string | undefined
  /** For `killed`: when its lease ends, in ms of `performance.now()`. */
  leaseEnds: number | undefined
}

export type Tone = 'plain' | 'good' | 'bad' | 'alarm' | 'talk'

/** Something worth a line. */
export interface News {
  readonly atMs: number
  readonly tone: Tone
  readonly text: string
  /** False for what only a screen has room for. */
  readonly weighty: boolean
}

export interface BeadRow {
  readonly bead_id: string
  readonly title: string
  readonly status: string
  readonly stage: string
  readonly waits_for: readonly string[]
}

export interface Model {
  readonly beads: ReadonlyMap<string, BeadView>
  readonly lanes: Lane[]
  readonly news: News[]
  /** Beads that were open at the beginning. */
  readonly total: number
  readonly count: {
    finished: number
    blocked: number
    retried: number
    claims: number
    stages: number
    messages: number
  }
  /** Takes in one event of the log; `atMs` is the time since the beginning. */
  apply(event: EventRow, atMs: number): void
  say(news: News): void
}

/** Builds the picture of a backlog, to be kept up to date from the event log alone. */
export function createModel(rows: readonly BeadRow[]): Model {
  const beads = new Map<string, BeadView>(
    rows.map(({ waits_for, ...row }) => [
      row.bead_id,
      { ...row, attempt: 1, fence: 0, agent: undefined, claimedBy: undefined, waitsFor: new Set(waits_for) },
    ]),
  )
  const dependants = new Map<string, BeadView[]>()
  for (const bead of beads.values()) {
    for (const other of bead.waitsFor) dependants.set(other, [...(dependants.get(other) ?? []), bead])
  }
  const model: Model = {
    beads,
    lanes: [],
    news: [],
    total: [...beads.values()].filter((bead) => bead.status === 'pending').length,
    count: { finished: 0, blocked: 0, retried: 0, claims: 0, stages: 0, messages: 0 },
    say: (news) => void model.news.push(news),
    apply(event, atMs) {
      const bead = event.bead_id === undefined ? undefined : beads.get(event.bead_id)
      const lane = model.lanes.find(({ agent }) => agent === event.agent_id)
      const payload = isJsonObject(event.payload) ? event.payload : {}
      const say = (tone: Tone, text: string, weighty = true) => model.say({ atMs, tone, text, weighty })
      const leave = (status: string) => {
        if (bead) {
          bead.status = status
          bead.agent = undefined
        }
        if (lane && lane.bead === bead?.bead_id) {
          lane.bead = undefined
          if (lane.state === 'working') lane.state = 'idle'
        }
      }
      switch (event.event_type) {
        case 'bead_claimed': {
          if (!bead || event.agent_id === undefined) return
          model.count.claims += 1
          bead.fence = Number(payload.fence)
          bead.status = 'in_progress'
          bead.agent = event.agent_id
          bead.claimedBy = event.agent_id
          if (lane)
            Object.assign(lane, { bead: bead.bead_id, state: lane.state === 'killed' ? 'killed' : 'working' })
          return
        }
        case 'stage_started': {
          if (!bead) return
          bead.stage = event.stage ?? bead.stage
          bead.attempt = Number(payload.attempt)
          return
        }
        case 'stage_completed': {
          if (payload.outcome === 'passed') model.count.stages += 1
          else say('bad', `${event.bead_id}: ${event.stage} failed, "${payload.feedback}"`)
          return
        }
        case 'transition_retry': {
          model.count.retried += 1
          if (bead) bead.stage = String(payload.to)
          return
        }
        case 'transition_finalize': {
          model.count.finished += 1
          leave('completed')
          const freed = (dependants.get(event.bead_id ?? '') ?? []).filter((other) => {
            other.waitsFor.delete(event.bead_id ?? '')
            return other.waitsFor.size === 0 && other.status === 'pending'
          })
          const opens = freed.length > 0 ? `; now ready: ${list(freed.map((other) => other.bead_id))}` : ''
          say('good', `${event.bead_id} is done${opens}`)
          return
        }
        case 'transition_blocked': {
          model.count.blocked += 1
          leave('blocked')
          say('bad', `${event.bead_id} is blocked: its attempts are used up`)
          return
        }
        case 'lease_expired':
          leave('pending')
          return
        case 'bead_released':
          leave(String(payload.to))
          return
        case 'message_sent': {
          model.count.messages += 1
          const to = Array.isArray(payload.to) ? payload.to.join(', ') : ''
          say(
            'talk',
            `agent ${event.agent_id} to agent ${to}: ${payload.message_type} ${event.bead_id ?? ''}`,
            false,
          )
          return
        }
        case 'broadcast_sent':
          model.count.messages += 1
          return
      }
    },
  }
  return model
}

const LISTED = 3

function list(ids: readonly string[]): string {
  const more = ids.length - LISTED
  return more > 0 ? `${ids.slice(0, LISTED).join(', ')} and ${more} more` : ids.join(', ')
}

/** The lane of an agent that has been started and has not been seen to do anything. */
export function startLane(agent: number): Lane {
  return { agent, state: 'starting', bead: undefined, leaseEnds: undefined }
}

/** Beads that could be claimed now. */
export function readyBeads(model: Model): BeadView[] {
  return [...model.beads.values()].filter((bead) => bead.status === 'pending' && bead.waitsFor.size === 0)
}

/** Beads that wait for others, those with the fewest first. */
export function waitingBeads(model: Model): BeadView[] {
  return [...model.beads.values()]
    .filter((bead) => bead.status === 'pending' && bead.waitsFor.size > 0)
    .sort((a, b) => a.waitsFor.size - b.waitsFor.size)
}

/** How much of the work is done, from 0 to 1, counted in stages. */
export function progress(model: Model, stagesPerBead: number): number {
  const { finished, blocked, stages } = model.count
  if (model.total === 0 || finished + blocked >= model.total) return 1
  return Math.min(0.999, stages / (model.total * stagesPerBead))
}
