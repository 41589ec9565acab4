import { createHash } from 'node:crypto'
import { BEAD_ID } from '../contract/fields.ts'
import type { BacklogFile } from './read-file.ts'

/** A bead whose id in the file is none that a new bead may have. */
export interface Renamed {
  readonly id: string
  readonly bead_id: string
}

/** The ids of a file that a new bead may not have: of beads, and of those that links name. */
export function unusualIds({ beads, links }: Pick<BacklogFile, 'beads' | 'links'>): readonly string[] {
  const ids = new Set<string>()
  const look = (id: string) => {
    if (!BEAD_ID.test(id)) ids.add(id)
  }
  for (const { bead_id } of beads) look(bead_id)
  for (const { bead_id, other_id } of links) {
    look(bead_id)
    look(other_id)
  }
  return [...ids]
}

/**
 * Gives each bead with one of these ids an id of letters, digits and `. _ : -`, made of its own: the same one in every import, so that
 * links of other files find it too. The bead keeps its own as `metadata.id`; links follow.
 */
export function withMadeIds(
  { beads, links }: Pick<BacklogFile, 'beads' | 'links'>,
  ids: readonly string[],
): Pick<BacklogFile, 'beads' | 'links'> & { readonly renamed: readonly Renamed[] } {
  if (ids.length === 0) return { beads, links, renamed: [] }
  const made = new Map(ids.map((id) => [id, madeId(id)]))
  const nameOf = (id: string) => made.get(id) ?? id
  const renamed: Renamed[] = []
  return {
    beads: beads.map((bead) => {
      const bead_id = made.get(bead.bead_id)
      if (bead_id === undefined) return bead
      renamed.push({ id: bead.bead_id, bead_id })
      return { ...bead, bead_id, metadata: { ...bead.metadata, id: bead.bead_id } }
    }),
    links: links.map((link) => ({
      ...link,
      bead_id: nameOf(link.bead_id),
      other_id: nameOf(link.other_id),
    })),
    renamed,
  }
}

/** What can be kept of the id, and a hash of all of it. */
function madeId(id: string): string {
  const words = id
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9._:-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
    .slice(0, 100)
  const hash = createHash('sha256').update(id).digest('hex').slice(0, 12)
  return `${words || 'bead'}-${hash}`
}
