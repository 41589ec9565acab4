import { expect, it } from 'vitest'
import { claudeAdapter } from '../../src/agents/claude/adapter.ts'
import { findMarked } from '../../src/process/index.ts'
import { claudeSettings } from './settings.ts'
import { describeProgram, SLEEPS, until, WRITES } from './support.ts'

const error = (type: string, message: string) => ({ type: 'error', error: { type, message } })

describeProgram(
  {
    name: 'claude',
    adapter: claudeAdapter,
    settings: claudeSettings,
  },
  (bench) => {
    it('is found, with its version and login', async () => {
      const { scratch, settings } = bench()
      expect(
        await claudeAdapter.probe({ settings: settings(), path: process.env.PATH ?? '', operatorEnv: {} }),
      ).toMatchObject({ usable: true, version: '2.1.197', login: 'yes' })
      expect(scratch).toBeDefined()
    })

    it('does its work, and leaves when it may', async () => {
      const { start, written } = bench()
      const one = await start(WRITES)
      expect(await one.result()).toMatchObject({ ok: true, reason: 'completed', detail: 'It is written.' })
      expect(written()).toBe('hello')
      expect(await one.session.end()).toMatchObject({ exitCode: 0, steps: [], left: [] })
      expect(one.session.track()).toMatchObject({ turns: 2, toolCalls: 1, openTools: [], asking: [] })
    })

    it('hears a word while a tool runs', async () => {
      const { start, stub } = bench()
      const one = await start({ turns: [{ shell: 'sleep 2; echo hello > out.txt' }, { say: 'Heard.' }] })
      await one.until('tool_started')
      one.session.send('CHANGE OF PLAN')
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

    it('a rate limit of a key is a quota stop after its retries', async () => {
      const { start } = bench()
      const one = await start({
        ...WRITES,
        faults: [
          {
            status: 429,
            headers: { 'retry-after': '1' },
            body: error('rate_limit_error', 'too many'),
            times: 9,
          },
        ],
      })
      expect(await one.result()).toMatchObject({ ok: false, reason: 'quota' })
      expect(await one.until('retrying')).toMatchObject({ cause: 'quota' })
      await one.session.end({ lingerMs: 2_000 })
    })

    it('a limit of a subscription says until when', async () => {
      const { start, settings } = bench()
      const resets = Math.floor(Date.now() / 1_000) + 3_600
      const { ANTHROPIC_API_KEY: _key, ...env } = settings().env ?? {}
      const headers = {
        'anthropic-ratelimit-unified-status': 'rejected',
        'anthropic-ratelimit-unified-reset': String(resets),
        'anthropic-ratelimit-unified-representative-claim': 'five_hour',
      }
      const one = await start(
        { ...WRITES, faults: [{ status: 429, headers, body: error('rate_limit_error', 'limit'), times: 9 }] },
        {},
        { env: { ...env, CLAUDE_CODE_OAUTH_TOKEN: 'made-up-token' } },
      )
      expect(await one.result()).toMatchObject({ ok: false, reason: 'quota' })
      expect(one.session.track().limitedUntil).toBe(resets * 1_000)
      await one.session.end({ lingerMs: 2_000 })
    })

    it('overload is told while it is retried and at the end', async () => {
      const { start } = bench()
      const one = await start({
        ...WRITES,
        faults: [{ status: 529, body: error('overloaded_error', 'busy'), times: 9 }],
      })
      expect(await one.result()).toMatchObject({ ok: false, reason: 'overloaded' })
      expect(await one.until('retrying')).toMatchObject({ cause: 'overloaded' })
      await one.session.end({ lingerMs: 2_000 })
    })

    it('a wrong key is auth', async () => {
      const { start } = bench()
      const one = await start({
        ...WRITES,
        faults: [{ status: 401, body: error('authentication_error', 'no'), times: 9 }],
      })
      expect(await one.result()).toMatchObject({ ok: false, reason: 'auth' })
      await one.session.end({ lingerMs: 2_000 })
    })

    it('a model that stops in the middle of its answer is silence, and can be ended', async () => {
      const { start } = bench()
      const one = await start({ turns: [{ hang: true }] })
      await one.until('activity', ({ what }) => what === 'answering')
      const end = await one.session.end()
      expect(end).toMatchObject({ left: [] })
      expect(await one.result()).toMatchObject({ ok: false, reason: 'interrupted' })
    })

    it('a question to a human gets its answer into the conversation', async () => {
      const { start, stub } = bench()
      const questions = [
        {
          question: 'Which colour?',
          header: 'Colour',
          multiSelect: false,
          options: [
            { label: 'red', description: 'r' },
            { label: 'blue', description: 'b' },
          ],
        },
      ]
      const one = await start({
        turns: [{ call: { tool: 'AskUserQuestion', input: { questions } } }, { say: 'Good.' }],
      })
      const { id, text, options } = await one.until('question')
      expect({ text, options }).toEqual({ text: 'Which colour?', options: ['red', 'blue'] })
      one.session.answer(id, { kind: 'text', text: 'blue' })
      expect(await one.result()).toMatchObject({ ok: true })
      expect(JSON.stringify(stub.seen.at(-1)?.body)).toContain('blue')
      await one.session.end()
    })

    it('a tool that the rules deny is not run, and the result says so', async () => {
      const { start, written } = bench()
      const one = await start(WRITES, {}, { permissions: { deny: ['Bash'] } })
      expect(await one.result()).toMatchObject({ ok: true, denied: ['Bash'] })
      expect(await one.until('permission')).toMatchObject({ tool: 'Bash', decided: 'deny' })
      expect(written()).toBeUndefined()
      await one.session.end()
    })

    it('an interrupt ends a tool with its children and keeps the session', async () => {
      const { start } = bench()
      const one = await start(SLEEPS)
      await one.until('tool_started')
      await until(() => findMarked(one.session.marker)?.some(({ name }) => name === 'sleep') === true)
      one.session.interrupt()
      expect(await one.result()).toMatchObject({ ok: false, reason: 'interrupted' })
      await one.session.end()
      expect(findMarked(one.session.marker)).toEqual([])
    })

    it('ended in the middle of a tool it leaves nothing, and goes on from there', async () => {
      const { start, written, stub } = bench()
      const one = await start(SLEEPS)
      await one.until('tool_started')
      await until(() => findMarked(one.session.marker)?.some(({ name }) => name === 'sleep') === true)
      const { nativeId = '' } = one.session.track()
      process.kill(one.session.pid, 'SIGKILL')
      expect(await one.result()).toMatchObject({ reason: 'crashed' })
      const end = await one.session.end()
      expect(end.left).toEqual([])
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
