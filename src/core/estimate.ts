import type { Facts } from '../contract/run-rows.ts'

/** So much of the past is taken as the pace of what is to come, or an eighth of the run where that is more; in ms. */
const WINDOW_MS = 1_800_000
/** With fewer landed in that time nothing is foretold. */
const ENOUGH = 3

/** When everything will have landed if it goes on at the pace of late, as an ISO time; undefined where that cannot be said. */
export function estimateOf({ run, beads, finished, as_of }: Facts): string | undefined {
  if (!run || run.ended_at !== undefined || run.status !== 'running') return undefined
  const left = targetOf(run.target, beads) - run.landed
  if (left <= 0) return undefined
  const now = Date.parse(as_of)
  const started = Date.parse(run.started_at)
  const from = Math.max(started, now - Math.max(WINDOW_MS, (now - started) / 8))
  const landed = finished.reduce((sum, { at, count }) => (Date.parse(at) >= from ? sum + count : sum), 0)
  if (landed < ENOUGH) return undefined
  return new Date(now + (left * (now - from)) / landed).toISOString()
}

function targetOf(target: number | undefined, beads: Facts['beads']): number {
  if (target !== undefined) return target
  return Object.entries(beads).reduce(
    (sum, [status, count]) => (status === 'cancelled' ? sum : sum + count),
    0,
  )
}
