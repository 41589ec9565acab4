import type { EventRow } from '../contract/events.ts'
import { isJsonObject } from '../contract/json.ts'
import type { Overview } from '../contract/run-rows.ts'

/** What one agent of the run does. */
export interface Lane {
  readonly agent: number
  readonly role: string
  bead?: string | undefined
  stage?: string | undefined
  attempt?: number | undefined
}

export type Tone = 'plain' | 'good' | 'bad' | 'alarm'

/** Something worth a line. */
export interface News {
  readonly atMs: number
  readonly tone: Tone
  readonly text: string
}

/** The picture of a run: its state from `ps`, its news from the event log. */
export interface Board {
  /** Beads that are to land. */
  readonly total: number
  readonly titles: ReadonlyMap<string, string>
  readonly lanes: readonly Lane[]
  readonly news: News[]
  landed: number
  beads: Readonly<Record<string, number>>
  train: Overview['train']
  /** Who leads, in a few words. */
  leader: string
  see(overview: Overview): void
  apply(event: EventRow, atMs: number): void
  say(tone: Tone, text: string, atMs: number): void
}

/** An empty board for these beads and agents. */
export function createBoard(
  titles: ReadonlyMap<string, string>,
  agents: readonly { readonly agent_id: number; readonly role: string }[],
  total: number,
): Board {
  const board: Board = {
    total,
    titles,
    lanes: agents.map(({ agent_id, role }) => ({ agent: agent_id, role })),
    news: [],
    landed: 0,
    beads: {},
    train: [],
    leader: '',
    say: (tone, text, atMs) => void board.news.push({ tone, text, atMs }),
    see({ run, beads, sessions, train }) {
      board.landed = run?.landed ?? board.landed
      board.beads = beads
      board.train = train
      for (const lane of board.lanes) {
        const session = sessions.find(({ agent_id }) => agent_id === lane.agent)
        Object.assign(lane, { bead: session?.bead_id, stage: session?.stage, attempt: session?.attempt })
      }
    },
    apply(event, atMs) {
      const told = toldBy(event)
      if (told) board.say(told.tone, told.text, atMs)
    },
  }
  return board
}

/** The few events that a person wants to read. */
function toldBy({
  event_type,
  bead_id,
  stage,
  agent_id,
  payload,
}: EventRow): { tone: Tone; text: string } | undefined {
  const { head, reason, outcome, feedback } = isJsonObject(payload) ? payload : {}
  switch (event_type) {
    case 'landing_landed':
      return { tone: 'good', text: `${bead_id} has landed as ${String(head).slice(0, 8)}` }
    case 'landing_ejected':
    case 'landing_conflict':
      return { tone: 'bad', text: `${bead_id} goes back to be implemented: ${String(reason)}` }
    case 'session_ended':
      return reason === 'crashed' || reason === 'host_lost'
        ? { tone: 'bad', text: `${stage} of ${bead_id} by agent ${agent_id} ended: ${String(reason)}` }
        : undefined
    case 'stage_completed':
      return outcome === 'failed' && stage !== 'land'
        ? { tone: 'bad', text: `${stage} of ${bead_id} failed: ${String(feedback)}` }
        : undefined
    default:
      return undefined
  }
}
