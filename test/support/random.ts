/** A seeded generator (mulberry32): numbers from 0 to 1. The seed is printed so that a failure can be repeated. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** The seed of this run: `SEED`, else one from the clock; printed. */
export function seedOfRun(what: string): number {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
  process.stderr.write(`${what}: SEED=${seed}\n`)
  return seed
}

export function pick<T>(items: readonly T[], random: () => number): T {
  const item = items[Math.floor(random() * items.length)]
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}
