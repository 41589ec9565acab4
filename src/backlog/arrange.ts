import type { BacklogFile, Problem } from './read-file.ts'
import type { ImportBead, ImportLink } from './types.ts'

type Link = ImportLink & { readonly line: number }

/** A part of a backlog that may be imported by itself: no bead in it waits for one of a later part. */
export interface Part {
  readonly beads: readonly ImportBead[]
  readonly links: readonly Link[]
}

export interface Arranged {
  readonly parts: readonly Part[]
  /** A line for each dependency that is left out because it closes a cycle. */
  readonly problems: readonly Problem[]
}

/** The kinds of links that make a bead wait, as `swarm.blocking` has them. */
const BLOCKING: ReadonlySet<string> = new Set(['blocks', 'parent-child'])

/**
 * Puts the beads of a file in an order in which each stands after those that it waits for, otherwise as in the file, and cuts them into
 * parts of about `size` beads, each with the links that make its beads wait. One walk in depth: of a cycle, the link that stands last
 * in the file is left out, and the walk goes on from where that link began.
 */
export function arrange({ beads, links }: Pick<BacklogFile, 'beads' | 'links'>, size: number): Arranged {
  const byId = new Map(beads.map((bead) => [bead.bead_id, bead]))
  const waits = new Map<string, Link[]>()
  const others = new Map<string, Link[]>()
  for (const link of links) {
    if (BLOCKING.has(link.kind)) listOf(waits, link.bead_id).push(link)
    // what does not wait travels with its bead; where that is not in the file, with the other one
    else listOf(others, link.bead_id).push(link)
  }
  const { order, dropped } = walk(
    beads.map(({ bead_id }) => bead_id),
    waits,
    new Map(links.map((link, at) => [link, at])),
  )
  const loose = (id: string, from: Map<string, Link[]>) =>
    (from.get(id) ?? []).filter((link) => !dropped.has(link))
  const position = new Map(beads.map(({ bead_id }, at) => [bead_id, at]))
  const parts: Part[] = []
  let part: { beads: ImportBead[]; links: Link[] } = { beads: [], links: [] }
  const close = () => {
    // a part is one transaction: within it the order of the file can stand
    part.beads.sort((a, b) => (position.get(a.bead_id) ?? 0) - (position.get(b.bead_id) ?? 0))
    parts.push(part)
    part = { beads: [], links: [] }
  }
  for (const id of order) {
    const bead = byId.get(id)
    // a bead that is not in the file stands in the order too: its links wait for what is
    if (bead) part.beads.push(bead)
    part.links.push(...loose(id, waits), ...loose(id, others))
    if (part.beads.length >= size) close()
  }
  for (const [id, list] of others) if (!waits.has(id) && !byId.has(id)) part.links.push(...list)
  if (part.beads.length > 0 || part.links.length > 0 || parts.length === 0) close()
  return {
    parts,
    problems: [...dropped].map(([{ line }, cycle]) => ({
      line,
      kind: 'cycle',
      msg: `a dependency is left out, it closes the cycle ${shown(cycle)}`,
    })),
  }
}

/** A cycle as people read it: of a long one, its beginning and its end. */
function shown(cycle: readonly string[]): string {
  const some =
    cycle.length <= 20 ? cycle : [...cycle.slice(0, 10), `(${cycle.length - 15} more)`, ...cycle.slice(-5)]
  return some.join(' -> ')
}

interface Step {
  readonly id: string
  /** The next of its links to follow. */
  next: number
  /** The link that led here. */
  readonly by: Link | undefined
}

/** Each bead after those that it waits for; and the links left out, with the cycle that each closes. */
function walk(
  ids: readonly string[],
  waits: ReadonlyMap<string, readonly Link[]>,
  place: ReadonlyMap<Link, number>,
): { readonly order: readonly string[]; readonly dropped: ReadonlyMap<Link, readonly string[]> } {
  const order: string[] = []
  const done = new Set<string>()
  const onPath = new Map<string, number>()
  const dropped = new Map<Link, readonly string[]>()
  const path: Step[] = []
  const enter = (id: string, by: Link | undefined) => {
    onPath.set(id, path.length)
    path.push({ id, next: 0, by })
  }
  const leave = () => {
    const step = path.pop()
    if (step) onPath.delete(step.id)
    return step
  }
  for (const root of [...ids, ...waits.keys()]) {
    if (done.has(root)) continue
    enter(root, undefined)
    for (let step = path.at(-1); step; step = path.at(-1)) {
      const link = waits.get(step.id)?.[step.next]
      if (!link) {
        leave()
        done.add(step.id)
        order.push(step.id)
        continue
      }
      step.next += 1
      const at = onPath.get(link.other_id)
      if (dropped.has(link) || done.has(link.other_id)) continue
      if (at === undefined) {
        enter(link.other_id, link)
        continue
      }
      // the path from the other bead to this one, and this link back
      const steps = path.slice(at)
      const along = [...steps.slice(1).flatMap(({ by }) => (by ? [by] : [])), link]
      const last = along.reduce((one, other) =>
        (place.get(other) ?? 0) > (place.get(one) ?? 0) ? other : one,
      )
      dropped.set(last, [...steps.map(({ id }) => id), link.other_id])
      while (last !== link && path.length > 0 && path.at(-1)?.by !== last) leave()
      if (last !== link) leave()
    }
  }
  return { order, dropped }
}

function listOf(map: Map<string, Link[]>, key: string): Link[] {
  const list = map.get(key) ?? []
  map.set(key, list)
  return list
}
