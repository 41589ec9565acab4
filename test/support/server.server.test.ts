import { rmSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { startTestServer } from './server.ts'
import { shareStateHome } from './state-home.ts'

const OURS = process.env.XDG_STATE_HOME
afterAll(() => {
  if (process.env.XDG_STATE_HOME !== OURS) {
    rmSync(process.env.XDG_STATE_HOME ?? '', { recursive: true, force: true })
  }
  process.env.XDG_STATE_HOME = OURS
})

test('of two projects in one run each stops the server that it has started', async () => {
  // as the setups run: one after the other, and the ends in reverse
  shareStateHome()
  const first = await startTestServer()
  shareStateHome()
  const second = await startTestServer()
  await expect(second.stop()).resolves.toBeUndefined()
  await expect(first.stop()).resolves.toBeUndefined()
})
