import * as z from 'zod'
import { beadStatus, LIMITS, metadata, text } from '../contract/fields.ts'
import { checkLine, LONGEST_ID, lineLabels, linePriority, linkKind, optional, timeOf } from './checks.ts'
import type { Format, ImportLink } from './types.ts'

const line = z.strictObject({
  bead_id: text(LONGEST_ID),
  title: text(LIMITS.title),
  description: optional(z.string().max(LIMITS.description)),
  status: optional(beadStatus),
  priority: optional(linePriority),
  bead_type: optional(text(64)),
  labels: optional(lineLabels),
  depends_on: optional(z.array(text(LONGEST_ID))),
  links: optional(
    z.array(
      z.strictObject({ bead_id: optional(text(LONGEST_ID)), other_id: text(LONGEST_ID), kind: text(64) }),
    ),
  ),
  metadata: optional(metadata),
  created_at: optional(z.string()),
  updated_at: optional(z.string()),
  finished_at: optional(z.string()),
})

/** Lines like the beads that `enqueue` takes, with their status and links. A holder of another swarm is not ours. */
export const swarmFormat: Format = {
  parse(value, { reopen }) {
    const bead = checkLine(line, value)
    const status = bead.status ?? 'pending'
    const open = status === 'in_progress' || (reopen && status === 'completed')
    return {
      bead: {
        bead_id: bead.bead_id,
        title: bead.title,
        description: bead.description ?? '',
        priority: bead.priority ?? 'p2',
        status: open ? 'pending' : status,
        bead_type: bead.bead_type ?? 'task',
        labels: bead.labels ?? [],
        metadata: bead.metadata ?? {},
        created_at: timeOf(bead.created_at),
        updated_at: timeOf(bead.updated_at),
        finished_at: timeOf(bead.finished_at),
      },
      links: [
        ...(bead.depends_on ?? []).map(
          (other_id): ImportLink => ({ bead_id: bead.bead_id, other_id, kind: 'blocks' }),
        ),
        ...(bead.links ?? []).map(
          ({ bead_id, other_id, kind }): ImportLink => ({
            bead_id: bead_id ?? bead.bead_id,
            other_id,
            kind: linkKind(kind),
          }),
        ),
      ],
    }
  },

  write({ links, ...row }) {
    const depends_on = links.flatMap(({ other_id, kind }) => (kind === 'blocks' ? [other_id] : []))
    const others = links.filter(({ kind }) => kind !== 'blocks')
    return {
      ...row,
      ...(depends_on.length > 0 ? { depends_on } : {}),
      ...(others.length > 0 ? { links: others.map((link) => ({ ...link })) } : {}),
    }
  },
}
