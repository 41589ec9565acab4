import { expect, it } from 'vitest'
import { opencodeAdapter } from '../../src/agents/opencode/adapter.ts'
import { opencodeRunAdapter } from '../../src/agents/opencode/run.ts'
import { findMarked } from '../../src/process/index.ts'
import { opencodeSettings } from './settings.ts'
import { describeProgram, SLEEPS, until, WRITES } from './support.ts'

const error = (message: string, type = 'error') => ({ error: { message, type } })

describeProgram(
  { name: 'opencode', adapter: opencodeAdapter, settings: opencodeSettings('opencode') },
  (bench) => {
    it('does its work, and is ended as a server is', async () => {
      const { start, written } = bench()
      const one = await start(WRITES)
      expect(await one.result()).toMatchObject({ ok: true, reason: 'completed', detail: 'It is written.' })
      expect(written()).toBe('hello')
      expect(one.session.track()).toMatchObject({ turns: 2, toolCalls: 1, openTools: [], asking: [] })
      const from = one.events.length
      one.session.send('again')
      expect(await one.until('result', undefined, from)).toMatchObject({ ok: true })
      expect(await one.session.end()).toMatchObject({ left: [] })
    })

    it('hears a word while a tool runs', async () => {
      const { start, stub } = bench()
      const one = await start({ turns: [{ shell: 'sleep 3; echo hello > out.txt' }, { say: 'Heard.' }] })
      await one.until('tool_started')
      one.session.send('CHANGE OF PLAN')
      await one.result()
      expect(JSON.stringify(stub.seen.at(-1)?.body)).toContain('CHANGE OF PLAN')
    })

    it('a rate limit is told while it waits, with the time of the next try, and can be ended', async () => {
      const { start } = bench()
      const headers = { 'retry-after': '3600' }
      const one = await start({
        ...WRITES,
        faults: [{ status: 429, headers, body: error('rate limit'), times: 9 }],
      })
      const { at = 0, cause } = await one.until('retrying')
      expect(cause).toBe('quota')
      expect(at).toBeGreaterThan(Date.now() + 3_000_000)
      expect(await one.session.end()).toMatchObject({ left: [] })
    })

    it('overload is told while it is retried, and work goes on after it', async () => {
      const { start } = bench()
      const one = await start({ ...WRITES, faults: [{ status: 503, body: error('overloaded'), times: 1 }] })
      expect(await one.until('retrying')).toMatchObject({ cause: 'overloaded' })
      expect(await one.result()).toMatchObject({ ok: true })
    })

    it('a wrong key is auth', async () => {
      const { start } = bench()
      const one = await start({ ...WRITES, faults: [{ status: 401, body: error('bad key'), times: 9 }] })
      expect(await one.result()).toMatchObject({ ok: false, reason: 'auth', native: { status: 401 } })
    })

    it('a model that stops in the middle of its answer is silence, and can be interrupted', async () => {
      const { start, stub } = bench()
      const before = stub.seen.length
      const one = await start({ turns: [{ hang: true }] })
      await until(() => stub.seen.length > before)
      await until(() => one.session.interrupt())
      expect(await one.result()).toMatchObject({ ok: false, reason: 'interrupted' })
    })

    it('a question to a human gets its answer into the conversation', async () => {
      const { start, stub } = bench()
      const options = [
        { label: 'red', description: 'r' },
        { label: 'blue', description: 'b' },
      ]
      const questions = [{ question: 'Which colour?', header: 'Colour', options }]
      const call = { tool: 'question', input: { questions } }
      // this tool is offered to clients that say they are one
      const env = { ...bench().settings().env, OPENCODE_CLIENT: 'cli', OPENCODE_ENABLE_QUESTION_TOOL: '1' }
      const one = await start({ turns: [{ call }, { say: 'Good.' }] }, {}, { env })
      const asked = await one.until('question')
      expect(asked).toMatchObject({ text: 'Which colour?', options: ['red', 'blue'] })
      expect(one.session.answer(asked.id, { kind: 'text', text: 'blue' })).toBe(true)
      expect(await one.result()).toMatchObject({ ok: true })
      expect(JSON.stringify(stub.seen.at(-1)?.body)).toContain('blue')
    })

    it('a tool that the rules deny is not run, and the result says so', async () => {
      const { start, written } = bench()
      const one = await start(WRITES, {}, { permissions: { deny: ['bash'] } })
      expect(await one.until('permission')).toMatchObject({ tool: 'bash', decided: 'deny' })
      expect(await one.result()).toMatchObject({ denied: ['bash'] })
      expect(written()).toBeUndefined()
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
      expect(JSON.stringify(stub.seen.at(-1)?.body)).toContain('This takes long.')
      expect(written()).toBe('hello')
    })
  },
)

describeProgram(
  { name: 'opencode', adapter: opencodeRunAdapter, settings: opencodeSettings('opencode-run') },
  (bench) => {
    it('does its work by run', async () => {
      const { start, written } = bench()
      const one = await start(WRITES)
      expect(await one.result()).toMatchObject({ ok: true, detail: 'It is written.' })
      expect(written()).toBe('hello')
    })

    it('says by run what failed', async () => {
      const { start } = bench()
      const one = await start({ ...WRITES, faults: [{ status: 401, body: error('bad key'), times: 9 }] })
      expect(await one.result()).toMatchObject({ ok: false, reason: 'auth' })
    })

    it('leaves nothing of a tool when run is ended, which ignores SIGTERM', async () => {
      const { start } = bench()
      const one = await start(SLEEPS)
      await until(() => findMarked(one.session.marker)?.some(({ name }) => name === 'sleep') === true)
      expect(await one.session.end()).toMatchObject({ left: [] })
      expect(findMarked(one.session.marker)).toEqual([])
    })
  },
)
