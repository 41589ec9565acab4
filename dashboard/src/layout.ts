/** Where each bead of a graph stands. */
export interface Layout {
  readonly x: readonly number[]
  readonly y: readonly number[]
  /** Indexes of [blocker, waiting]. */
  readonly edges: readonly (readonly [number, number])[]
  readonly width: number
  readonly height: number
}

export const NODE_WIDTH = 132
export const NODE_HEIGHT = 22
const COLUMN = 176
const ROW = 30
const SWEEPS = 8

/**
 * Layers by the longest way from a bead that waits for nothing, and within a layer the order that keeps neighbours near (barycentres,
 * swept forth and back). Links of a circle are left out.
 */
export function layout(ids: readonly string[], links: readonly (readonly [string, string])[]): Layout {
  const index = new Map(ids.map((id, at) => [id, at]))
  const edges = links.flatMap(([from, to]) => {
    const [a, b] = [index.get(from), index.get(to)]
    return a === undefined || b === undefined || a === b ? [] : [[a, b] as const]
  })
  const before: number[][] = ids.map(() => [])
  const behind: number[][] = ids.map(() => [])
  for (const [a, b] of edges) {
    behind[a]?.push(b)
    before[b]?.push(a)
  }
  const rank = ranksOf(before, behind)
  const layers: number[][] = []
  for (const [at, layer] of rank.entries()) {
    layers[layer] ??= []
    layers[layer].push(at)
  }
  const place = orderOf(layers, before, behind)
  const longest = Math.max(1, ...layers.map((layer) => layer.length))
  return {
    x: rank.map((layer) => layer * COLUMN),
    y: place.map((row) => row * ROW),
    edges,
    width: Math.max(1, layers.length) * COLUMN,
    height: longest * ROW,
  }
}

function ranksOf(before: readonly number[][], behind: readonly number[][]): number[] {
  const rank = before.map(() => 0)
  const open = before.map((list) => list.length)
  const free = open.flatMap((count, at) => (count === 0 ? [at] : []))
  for (let at = free.pop(); at !== undefined; at = free.pop()) {
    for (const next of behind[at] ?? []) {
      rank[next] = Math.max(rank[next] ?? 0, (rank[at] ?? 0) + 1)
      open[next] = (open[next] ?? 0) - 1
      if (open[next] === 0) free.push(next)
    }
  }
  return rank
}

function orderOf(
  layers: readonly number[][],
  before: readonly number[][],
  behind: readonly number[][],
): number[] {
  const place: number[] = before.map(() => 0)
  const settle = (layer: readonly number[]) => {
    for (const [row, at] of layer.entries()) place[at] = row - (layer.length - 1) / 2
  }
  for (const layer of layers) settle(layer)
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const forth = sweep % 2 === 0
    for (const layer of forth ? layers : layers.toReversed()) {
      const near = new Map(
        layer.map((at) => {
          const others = (forth ? before : behind)[at] ?? []
          const sum = others.reduce((total, other) => total + (place[other] ?? 0), 0)
          return [at, others.length > 0 ? sum / others.length : (place[at] ?? 0)]
        }),
      )
      layer.sort((a, b) => (near.get(a) ?? 0) - (near.get(b) ?? 0))
      settle(layer)
    }
  }
  return place
}
