import { expect, it } from 'vitest'
import { codexAdapter } from '../../src/agents/codex/adapter.ts'
import { codexExecAdapter } from '../../src/agents/codex/exec.ts'
import { findMarked } from '../../src/process/index.ts'
import { codexSettings } from './settings.ts'
import { describeProgram, SLEEPS, until, WRITES } from './support.ts'

const error = (type: string, message: string, more = {}) => ({ error: { type, message, ...more } })

describeProgram(
  {
    name: 'codex',
    adapter: codexAdapter,
    settings: codexSettings,
  },
  (bench) => {
    it('is found, with its version', async () => {
      const { settings } = bench()
      const orders = { settings: settings(), path: process.env.PATH ?? '', operatorEnv: {} }
      expect(await codexAdapter.probe(orders)).toMatchObject({ usable: true, version: '0.169.0' })
    })

    it('does its work, and leaves when it may', async () => {
      const { start, written } = bench()
      const one = await start(WRITES)
      expect(await one.result()).toMatchObject({ ok: true, reason: 'completed', detail: 'It is written.' })
      expect(written()).toBe('hello')
      expect(await one.session.end()).toMatchObject({ exitCode: 0, steps: [], left: [] })
      expect(one.session.track()).toMatchObject({ turns: 2, toolCalls: 1, openTools: [], asking: [] })
      expect(await one.until('usage', ({ of }) => of === 'total')).toMatchObject({
        usage: { input: 1_620, output: 40, cacheRead: 180 },
      })
    })

    it('hears a word while a tool runs', async () => {
      const { start, stub } = bench()
      const one = await start({ turns: [{ shell: 'sleep 2; echo hello > out.txt' }, { say: 'Heard.' }] })
      await one.until('tool_started')
      expect(one.session.send('CHANGE OF PLAN')).toBe(true)
      await one.result()
      expect(JSON.stringify(stub.seen.at(-1)?.body)).toContain('CHANGE OF PLAN')
      await one.session.end()
    })

    it('takes a second prompt in the same process', async () => {
      const { start } = bench()
      const one = await start(WRITES)
      await one.result()
      const from = one.events.length
      one.session.send('again')
      expect(await one.until('result', undefined, from)).toMatchObject({ ok: true })
      await one.session.end()
    })

    it('a used-up limit says until when', async () => {
      const { start } = bench()
      const resets = Math.floor(Date.now() / 1_000) + 3_600
      const headers = {
        'x-codex-primary-used-percent': '100',
        'x-codex-primary-window-minutes': '300',
        'x-codex-primary-reset-at': String(resets),
      }
      const body = error('usage_limit_reached', 'the limit is reached', {
        plan_type: 'pro',
        resets_at: resets,
      })
      const one = await start({ ...WRITES, faults: [{ status: 429, headers, body, times: 9 }] })
      expect(await one.result()).toMatchObject({
        ok: false,
        reason: 'quota',
        native: { error: 'usageLimitExceeded' },
      })
      expect(one.session.track().limitedUntil).toBe(resets * 1_000)
      await one.session.end()
    })

    it('overload is told while it is retried and at the end', async () => {
      const { start } = bench()
      const one = await start({
        ...WRITES,
        faults: [{ status: 503, body: error('server_error', 'busy'), times: 20 }],
      })
      expect(await one.result()).toMatchObject({ ok: false, reason: 'overloaded' })
      expect(await one.until('retrying')).toMatchObject({ cause: 'overloaded' })
      await one.session.end()
    })

    it('a wrong key is auth', async () => {
      const { start } = bench()
      const one = await start({
        ...WRITES,
        faults: [{ status: 401, body: error('invalid_request_error', 'bad key'), times: 20 }],
      })
      expect(await one.result()).toMatchObject({ ok: false, reason: 'auth' })
      await one.session.end()
    })

    it('a model that stops in the middle of its answer is silence, and can be interrupted', async () => {
      const { start, stub } = bench()
      const before = stub.seen.length
      const one = await start({ turns: [{ hang: true }] })
      await until(() => stub.seen.length > before)
      expect(one.session.interrupt()).toBe(true)
      expect(await one.result()).toMatchObject({ ok: false, reason: 'interrupted' })
      expect(await one.session.end()).toMatchObject({ left: [] })
    })

    it('a tool that the rules deny is not run, and the result says so', async () => {
      const { start, written } = bench()
      const one = await start(WRITES, {}, { permissions: { deny: ['command'] } })
      expect(await one.result()).toMatchObject({ denied: ['command'] })
      expect(await one.until('permission')).toMatchObject({ tool: 'command', decided: 'deny' })
      expect(written()).toBeUndefined()
      await one.session.end()
    })

    it('a tool that a human allows is run', async () => {
      const { start, written } = bench()
      const one = await start(WRITES, {}, { permissions: { mode: 'ask' } })
      const { id } = await one.until('permission')
      expect(one.session.answer(id, { kind: 'allow' })).toBe(true)
      expect(await one.result()).toMatchObject({ ok: true })
      expect(written()).toBe('hello')
      await one.session.end()
    })

    it('ended in the middle of a tool it leaves nothing, and goes on from there', async () => {
      const { start, written, stub } = bench()
      const one = await start(SLEEPS)
      await until(() => findMarked(one.session.marker)?.some(({ name }) => name === 'sleep') === true)
      const { nativeId = '' } = one.session.track()
      process.kill(one.session.pid, 'SIGKILL')
      expect(await one.result()).toMatchObject({ reason: 'crashed' })
      expect((await one.session.end()).left).toEqual([])
      expect(findMarked(one.session.marker)).toEqual([])
      const two = await start(WRITES, { resume: nativeId, home: one.home, prompt: 'go on' })
      expect(await two.result()).toMatchObject({ ok: true })
      expect(two.session.track().nativeId).toBe(nativeId)
      expect(JSON.stringify(stub.seen.at(-1)?.body)).toContain('This takes long.')
      expect(written()).toBe('hello')
      await two.session.end()
    })
  },
)

describeProgram(
  {
    name: 'codex',
    adapter: codexExecAdapter,
    settings: (...to) => ({ ...codexSettings(...to), adapter: 'codex-exec' }),
  },
  (bench) => {
    it('does its work by exec', async () => {
      const { start, written } = bench()
      const one = await start(WRITES)
      expect(await one.result()).toMatchObject({ ok: true, detail: 'It is written.' })
      expect(written()).toBe('hello')
      expect(await one.session.end()).toMatchObject({ exitCode: 0, left: [] })
    })

    it('says by exec what failed', async () => {
      const { start } = bench()
      const one = await start({
        ...WRITES,
        faults: [{ status: 401, body: error('x', 'bad key'), times: 20 }],
      })
      expect(await one.result()).toMatchObject({ ok: false, reason: 'auth' })
      await one.session.end()
    })

    it('leaves nothing of a tool when exec is ended', async () => {
      const { start } = bench()
      const one = await start(SLEEPS)
      await until(() => findMarked(one.session.marker)?.some(({ name }) => name === 'sleep') === true)
      expect(await one.session.end()).toMatchObject({ left: [] })
      expect(findMarked(one.session.marker)).toEqual([])
    })
  },
)
