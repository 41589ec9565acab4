import { expect, test } from 'vitest'
import { tortureUp, UP_FAULTS, type UpFault, type UpReport } from '../torture/up.ts'

/** `npm run torture -- up --seconds N --seed S` sets these; without them a short run with a fixed seed. */
const { TORTURE_SECONDS, TORTURE_SEED, TORTURE_ONLY } = process.env
const seconds = TORTURE_SECONDS === undefined ? undefined : Number(TORTURE_SECONDS)
const seed = Number(TORTURE_SEED ?? 20_268)

/** Frozen leaders are tested at the steps of a landing; here a freeze would take as long as all others. */
const SHORT: readonly UpFault[] = ['agent killed', 'worker killed', 'leader killed', 'server crashed']
const faults =
  TORTURE_ONLY === undefined
    ? seconds === undefined
      ? SHORT
      : UP_FAULTS
    : UP_FAULTS.filter((name) => TORTURE_ONLY.split(',').includes(name))

test(
  'a run lands everything once while agents, workers, leaders and the database die',
  async () => {
    const say = (line: string) => process.stderr.write(`torture up: ${line}\n`)
    say(`SEED=${seed}, ${seconds === undefined ? 'each fault once' : `${seconds} s`}`)
    const report = await tortureUp({ seconds, seed, faults, note: say })
    say(describeReport(report))
    const { wrong, complaints } = report
    expect({ wrong, complaints }).toEqual({ wrong: [], complaints: [] })
    expect(report.landed).toBeGreaterThan(0)
  },
  (seconds ?? 0) * 1_000 + 400_000,
)

function describeReport({ landed, sessions, recoveries, missed, overMs }: UpReport): string {
  const all = [...recoveries.values()].flat()
  return [
    `${landed} beads landed in ${sessions} sessions, ${all.length} faults, ${missed} drawn in vain; over ${overMs} ms after the last`,
    ...[...recoveries].map(
      ([name, some]) =>
        `  ${name}: ${some.length}, next decision after ${spread(some.map(({ decision }) => decision))}, next landing after ${spread(some.map(({ landing }) => landing))}`,
    ),
  ].join('\n')
}

/** Median and longest. */
function spread(ms: readonly number[]): string {
  const sorted = [...ms].sort((a, b) => a - b)
  return `${sorted[Math.floor(sorted.length / 2)]} ms (longest ${sorted.at(-1)} ms)`
}
