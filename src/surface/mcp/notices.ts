import { isJsonObject, type Json, type JsonObject } from '../../contract/json.ts'

/** What an agent does itself leaves events on its bead that are no news to it. */
const OWN =
  /^(?:stage_|transition_|bead_claimed|bead_complete|artifact_|lock_|message_|broadcast_|agent_|question_asked|progress)/
/** After one of these the bead is not the agent's any more. */
const ENDS = new Set(['lease_expired', 'bead_released'])
/** How many are told at once, the latest. */
const MOST = 5

/** An event of a held bead, as it is told. */
export interface Notice extends JsonObject {
  readonly event_type: string
  readonly at: string
  readonly bead_id?: string
  readonly by?: number
  readonly payload?: Json
}

/**
 * Of the events of a bead those that an agent who holds it should know: what others did to it, and that it is its no more. What came before
 * its own claim is older than what it was told with it.
 */
export function noticesOf(events: readonly Json[], agent: number): { notices: Notice[]; ended: boolean } {
  const rows = events.filter(isJsonObject)
  const claimed = rows.findLastIndex(
    ({ event_type, agent_id }) => event_type === 'bead_claimed' && agent_id === agent,
  )
  const news = rows.slice(claimed + 1).filter((row) => isNews(row, agent))
  const ended = news.some((row) => {
    const { event_type, agent_id } = row
    return (
      ENDS.has(String(event_type)) || (event_type === 'bead_claimed' && agent_id !== agent) || isOver(row)
    )
  })
  return { notices: news.slice(-MOST).map((row) => asNotice(row, agent)), ended }
}

function isNews({ event_type, agent_id, origin }: JsonObject, agent: number): boolean {
  return agent_id !== agent || (origin !== 'client' && !OWN.test(String(event_type)))
}

function isOver({ event_type, payload }: JsonObject): boolean {
  return event_type === 'state_change' && isJsonObject(payload) && payload.to === 'cancelled'
}

function asNotice({ event_type, timestamp, bead_id, agent_id, payload }: JsonObject, agent: number): Notice {
  return {
    event_type: String(event_type),
    at: String(timestamp),
    ...(typeof bead_id === 'string' ? { bead_id } : {}),
    ...(typeof agent_id === 'number' && agent_id !== agent ? { by: agent_id } : {}),
    ...(isJsonObject(payload) && Object.keys(payload).length > 0 ? { payload } : {}),
  }
}
