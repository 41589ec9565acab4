import type { Param } from '../contract/context.ts'

export const ITEM_KINDS = ['event', 'message', 'broadcast'] as const
export type ItemKind = (typeof ITEM_KINDS)[number]

/** Which rows of the log a reader wants. Absent means all; several values of one key are alternatives. */
export interface LogFilter {
  readonly repos: readonly string[]
  readonly kinds?: readonly ItemKind[] | undefined
  readonly event_types?: readonly string[] | undefined
  readonly message_types?: readonly string[] | undefined
  readonly bead_id?: string | undefined
  readonly agent_id?: number | undefined
  readonly stage?: string | undefined
  readonly run_id?: string | undefined
  /** Its messages, all broadcasts, its own events and those of the bead that it holds. */
  readonly for_agent?: number | undefined
}

/** A row as it is streamed: what `d` holds but for the cursor. */
export type LogItem = { readonly kind: ItemKind } & Readonly<Record<string, unknown>>

/**
 * A row `e` of the log as the item that is sent: a message or broadcast takes the place of the event that it appended. Plain events do
 * not go through `log_item`: it cannot be inlined, and costs four times as much.
 */
export const ITEM = `case when e.event_type in ('message_sent', 'broadcast_sent') then swarm.log_item(e)
  else jsonb_build_object('kind', 'event', 'repo', e.repo_id) || swarm.event_json(e) end`

/** The filter as SQL over the row `e`. Its parameters begin at `$<first>`. */
export function filterSql(
  filter: LogFilter,
  first: number,
): { readonly sql: string; readonly params: readonly Param[] } {
  const params: Param[] = []
  const place = (value: Param) => {
    params.push(value)
    return `$${first + params.length - 1}`
  }
  const oneOf = (expression: string, values: readonly string[]) =>
    // as a subquery the list is read once for a statement, not once for a row
    `${expression} = any(array(select jsonb_array_elements_text(${place(JSON.stringify(values))}::text::jsonb)))`
  const parts = [
    filter.repos.length === 1
      ? `e.repo_id = ${place(filter.repos[0] ?? '')}`
      : oneOf('e.repo_id', filter.repos),
  ]
  if (filter.kinds) parts.push(oneOf('swarm.item_kind(e.event_type)', filter.kinds))
  if (filter.event_types) parts.push(oneOf('e.event_type', filter.event_types))
  if (filter.message_types) parts.push(oneOf("e.payload ->> 'message_type'", filter.message_types))
  if (filter.bead_id !== undefined) parts.push(`e.bead_id = ${place(filter.bead_id)}`)
  if (filter.agent_id !== undefined) parts.push(`e.agent_id = ${place(filter.agent_id)}::integer`)
  if (filter.stage !== undefined) parts.push(`e.stage = ${place(filter.stage)}`)
  if (filter.run_id !== undefined) parts.push(`e.run_id = ${place(filter.run_id)}`)
  if (filter.for_agent !== undefined) parts.push(`swarm.concerns(e, ${place(filter.for_agent)}::integer)`)
  return { sql: parts.join(' and '), params }
}
