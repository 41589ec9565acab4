import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { decide } from '../../src/core/decide.ts'
import { replay, type TickRecord } from '../../src/core/replay.ts'

const HISTORIES = join(__dirname, 'histories')

/**
 * Runs that have happened, as `swarm up --record` wrote them. When a decision is meant to be another from now on, look at what
 * `swarm replay --different` says of the file, and record it anew.
 */
describe.each(readdirSync(HISTORIES))('%s', (name) => {
  const records: readonly TickRecord[] = readFileSync(join(HISTORIES, name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

  test('is decided as it was', () => {
    expect(records.length).toBeGreaterThan(3)
    for (const record of records) {
      const { same: _, ...again } = replay(record)
      expect(JSON.parse(JSON.stringify(again))).toEqual(record.decision)
    }
  })

  test('says nothing for a host that drains', () => {
    for (const { snapshot, rules } of records) {
      const hosts = snapshot.hosts.map((host) => ({ ...host, draining: true }))
      const { actions } = decide({ ...snapshot, hosts }, rules)
      expect(actions.filter(({ kind }) => kind === 'assign')).toEqual([])
    }
  })
})
