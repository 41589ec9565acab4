/**
 * The longest chain of beads in which each waits for the one before it, in that order: the least that is left to be done one after the other.
 * `links` are [blocker, the bead that waits]; those to beads that are not in `ids`, and those that close a circle, do not count. With `through`
 * the longest chain on which that one lies. Of chains of equal length, the one that comes first in the order of `ids`.
 */
export function criticalPath(
  ids: readonly string[],
  links: readonly (readonly [string, string])[],
  through?: string,
): string[] {
  const known = new Set(ids)
  const before = new Map<string, string[]>(ids.map((id) => [id, []]))
  const behind = new Map<string, string[]>(ids.map((id) => [id, []]))
  for (const [blocker, waits] of links) {
    if (!known.has(blocker) || !known.has(waits) || blocker === waits) continue
    before.get(waits)?.push(blocker)
    behind.get(blocker)?.push(waits)
  }
  const order = inOrder(ids, before, behind)
  const up = longest(order, before)
  if (through !== undefined && !known.has(through)) return []
  if (through !== undefined) {
    const down = longest(order.toReversed(), behind)
    return [...chain(through, up).reverse(), ...chain(through, down).slice(1)]
  }
  let last: string | undefined
  for (const id of ids) if (last === undefined || lengthOf(up, id) > lengthOf(up, last)) last = id
  return last === undefined ? [] : chain(last, up).reverse()
}

interface Step {
  readonly length: number
  readonly next: string | undefined
}

/** The ids so that each comes after those that it waits for; what lies on a circle, or behind one, is left out. */
function inOrder(
  ids: readonly string[],
  before: ReadonlyMap<string, readonly string[]>,
  behind: ReadonlyMap<string, readonly string[]>,
): string[] {
  const open = new Map(ids.map((id) => [id, before.get(id)?.length ?? 0]))
  const order = ids.filter((id) => open.get(id) === 0)
  for (let at = 0; at < order.length; at++) {
    for (const next of behind.get(order[at] ?? '') ?? []) {
      const left = (open.get(next) ?? 0) - 1
      open.set(next, left)
      if (left === 0) order.push(next)
    }
  }
  return order
}

/** For each id the longest way along `to`, whose ends come earlier in `order`. */
function longest(
  order: readonly string[],
  to: ReadonlyMap<string, readonly string[]>,
): ReadonlyMap<string, Step> {
  const steps = new Map<string, Step>()
  for (const id of order) {
    let best: Step = { length: 1, next: undefined }
    for (const next of to.get(id) ?? []) {
      const length = 1 + (steps.get(next)?.length ?? 0)
      if (length > best.length && steps.has(next)) best = { length, next }
    }
    steps.set(id, best)
  }
  return steps
}

function lengthOf(steps: ReadonlyMap<string, Step>, id: string): number {
  return steps.get(id)?.length ?? 0
}

function chain(from: string, steps: ReadonlyMap<string, Step>): string[] {
  const path: string[] = []
  for (let at: string | undefined = from; at !== undefined; at = steps.get(at)?.next) path.push(at)
  return path
}
