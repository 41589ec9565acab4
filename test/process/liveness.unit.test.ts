import { describe, expect, it } from 'vitest'
import { livenessDelta } from '../../src/process/liveness.ts'
import { withDescendants } from '../../src/process/marker.ts'

const use = (pid: number, start: number, cpuTicks: number, ioBytes: number) => ({
  pid,
  start,
  cpuTicks,
  ioBytes,
})

describe('what a session has used between two looks', () => {
  it('adds up CPU and bytes of those that stayed and of those that came', () => {
    const before = { atMs: 1_000, processes: [use(1, 10, 5, 100), use(2, 11, 0, 0)] }
    const after = { atMs: 3_500, processes: [use(1, 10, 8, 150), use(3, 20, 2, 7)] }
    expect(livenessDelta(before, after)).toEqual({
      ms: 2_500,
      cpuMs: 50,
      ioBytes: 57,
      processes: 2,
      started: 1,
      ended: 1,
    })
  })

  it('takes a number that was given to another process for a new process', () => {
    const before = { atMs: 0, processes: [use(7, 10, 90, 900)] }
    const after = { atMs: 1, processes: [use(7, 99, 1, 3)] }
    expect(livenessDelta(before, after)).toMatchObject({ cpuMs: 10, ioBytes: 3, started: 1, ended: 1 })
  })

  it('is zero when nothing has happened', () => {
    const sample = { atMs: 5, processes: [use(1, 1, 4, 4)] }
    expect(livenessDelta(sample, { ...sample, atMs: 9 })).toEqual({
      ms: 4,
      cpuMs: 0,
      ioBytes: 0,
      processes: 1,
      started: 0,
      ended: 0,
    })
  })
})

describe('what descends from marked processes', () => {
  it('is found at any depth, and nothing else', () => {
    const entries = [
      { pid: 1, parent: 0 },
      { pid: 10, parent: 1 },
      { pid: 12, parent: 11 },
      { pid: 11, parent: 10 },
      { pid: 20, parent: 1 },
    ]
    expect([...withDescendants(entries, new Set([10]))].sort()).toEqual([10, 11, 12])
  })
})
