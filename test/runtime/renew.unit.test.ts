import { expect, test } from 'vitest'
import { createHoldings } from '../../src/runtime/holdings.ts'
import { type Held, startRenewing } from '../../src/runtime/renew.ts'

test('a renewal that comes back late does not touch the claim of another bead with the same fence', async () => {
  const holdings = createHoldings()
  const base = { repo: 'r', agent_id: 1, fence: 2, lease_ms: 1_000, since: 0 }
  const next = { ...base, bead_id: 'next', since: Number.POSITIVE_INFINITY }
  holdings.set({ ...base, bead_id: 'first' })
  let answered = () => {}
  const done = new Promise<void>((resolve) => {
    answered = resolve
  })
  const read = async () => {
    // while it is under way the agent finishes the bead and claims another
    holdings.set(next)
    setImmediate(answered)
    return [{ renewed: false }]
  }
  // the renewal asks the database for one thing only
  const stop = startRenewing(() => [{ db: { read } as unknown as Held['db'], holdings }])
  await done
  stop()
  expect(holdings.get('r', 1)).toEqual(next)
})

test('a claim is renewed in its own database, whatever another database calls by the same names', async () => {
  const claim = { repo: 'r', agent_id: 1, bead_id: 'a', fence: 1, lease_ms: 1_000, since: 0 }
  const asked: string[] = []
  const databases = ['first', 'second'].map((name) => {
    const holdings = createHoldings()
    holdings.set(claim)
    const read = async () => {
      asked.push(name)
      return [{ renewed: true }]
    }
    return { db: { read } as unknown as Held['db'], holdings }
  })
  const stop = startRenewing(
    () => databases,
    () => 10_000,
  )
  await expect.poll(() => asked.length).toBeGreaterThan(1)
  stop()
  expect([...new Set(asked)]).toEqual(['first', 'second'])
})
