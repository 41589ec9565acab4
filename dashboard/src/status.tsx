/** The five groups that the page shows of the statuses of beads. */
export const GROUPS = ['ready', 'running', 'waiting', 'blocked', 'done'] as const
export type Group = (typeof GROUPS)[number]

/** The group of a bead, by what the server says of it. */
export function groupOf(status: string, openBlockers: number): Group {
  if (status === 'in_progress') return 'running'
  if (status === 'completed' || status === 'cancelled') return 'done'
  if (status === 'blocked' || status === 'failed') return 'blocked'
  if (status === 'pending' && openBlockers === 0) return 'ready'
  return 'waiting'
}

/** A mark of shape and colour, so that colour is not all that tells it. */
export function Mark({ group }: { readonly group: Group }) {
  return <i className={`mark ${group}`} aria-hidden="true" />
}
