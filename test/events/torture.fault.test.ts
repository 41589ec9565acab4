import { describe, expect, it } from 'vitest'
import { FAULTS } from '../torture/faults.ts'
import { type TortureReport, tortureStreams } from '../torture/streams.ts'

/** `npm run torture -- --seconds N --seed S` sets these; without them a short run with a fixed seed. */
const { TORTURE_SECONDS, TORTURE_SEED, TORTURE_PAUSE_MS, TORTURE_ONLY } = process.env
const seconds = Number(TORTURE_SECONDS ?? 20)
const seed = Number(TORTURE_SEED ?? 20_251)
const pauseMs = Number(TORTURE_PAUSE_MS ?? 10)
const only = FAULTS.filter((name) => TORTURE_ONLY === undefined || TORTURE_ONLY.split(',').includes(name))

describe('everybody writes and reads while everything dies', () => {
  it.each([
    ['', false, seconds],
    [', beside a transaction that stays open', true, seconds / 2],
  ])(
    'every committed event is delivered in order, none missing, nothing acked again%s',
    async (_what, foreign, runSeconds) => {
      process.stderr.write(`torture: SEED=${seed}, ${runSeconds} s\n`)
      const report = await tortureStreams({ seconds: runSeconds, seed, foreign, pauseMs, only })
      process.stderr.write(`${describeReport(report)}\n`)
      const { missed, repeated, wrong, details, lost, complaints, stuck } = report
      expect({ missed, repeated, wrong, details, lost, complaints, stuck }).toEqual({
        missed: 0,
        repeated: 0,
        wrong: 0,
        details: [],
        lost: [],
        complaints: [],
        stuck: [],
      })
      expect(report.events).toBeGreaterThan(runSeconds * 50)
      for (const name of ['server restarted', 'server crashed'] as const) {
        expect(median(report.resumedMs[name] ?? [])).toBeLessThan(2_000)
      }
    },
    seconds * 1_000 + 300_000,
  )
})

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
}

function describeReport(report: TortureReport): string {
  const { events, deliveries, missed, repeated, wrong, faults, resumedMs } = report
  const lines = Object.entries(faults).map(([name, count]) => {
    const times = [...(Object.entries(resumedMs).find(([other]) => other === name)?.[1] ?? [])].sort(
      (a, b) => a - b,
    )
    return `  ${name}: ${count}, next event after ${Math.round(median(times))} ms (longest ${Math.round(times.at(-1) ?? 0)} ms)`
  })
  const total = Object.values(faults).reduce((sum, count) => sum + count, 0)
  return [
    `torture: ${events} events, ${deliveries} deliveries, ${total} faults; missed ${missed}, repeated ${repeated}, wrong ${wrong}`,
    ...lines,
  ].join('\n')
}
