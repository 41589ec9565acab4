import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { thisProcess } from '../../src/process/index.ts'
import { takeTurn } from '../../src/workspaces/turn.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'swarm-turn-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

test('one at a time, whatever each does, and nothing is left', async () => {
  let inside = 0
  let most = 0
  const one = async (at: number) => {
    inside += 1
    most = Math.max(most, inside)
    await new Promise((resolve) => setImmediate(resolve))
    inside -= 1
    if (at % 7 === 0) throw new Error('it went wrong')
  }
  const all = Array.from({ length: 40 }, (_, at) => takeTurn(dir, () => one(at)))
  const failed = (await Promise.allSettled(all)).filter(({ status }) => status === 'rejected')
  expect(failed).toHaveLength(6)
  expect(most).toBe(1)
  expect(readdirSync(dir)).toEqual([])
})

test('the turn of a process that is gone is taken away, and what it left while it waited', async () => {
  const gone = thisProcess().replace(String(process.pid), '4194303')
  writeFileSync(join(dir, 'swarm-worktrees.lock'), `${gone} an-id`)
  writeFileSync(join(dir, `swarm-worktrees-${gone}-0123456789ab`), '')
  expect(await takeTurn(dir, async () => 'done')).toBe('done')
  expect(readdirSync(dir)).toEqual([])
})
