import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { demoAdapter } from '../../src/agents/demo/adapter.ts'
import type { DemoFault } from '../../src/contract/demo-script.ts'
import { findMarked } from '../../src/process/index.ts'
import { demo, kinds, Scratch } from './support.ts'

let scratch: Scratch
beforeEach(() => {
  scratch = new Scratch()
})
afterEach(() => scratch.remove())

const start = (faults: readonly DemoFault[] = [], more = {}) =>
  scratch.start(demoAdapter, { settings: demo({ faults: [...faults] }), ...more })

describe('the demo agent', () => {
  it('edits a file, commits it and says that it is done', async () => {
    const one = await start([], { env: { SWARM_BEAD_ID: 'b-1' } })
    const { session, events } = one
    expect(await one.result()).toMatchObject({ ok: true, reason: 'completed', detail: 'Done with b-1.' })
    expect(await session.end()).toMatchObject({ exitCode: 0, steps: [], left: [] })
    await one.over
    expect(scratch.git('log', '--format=%s')).toBe('Work on b-1\nfirst')
    expect(scratch.git('status', '--porcelain')).toBe('')
    expect(kinds(events)).toEqual([
      'initialised',
      'output',
      'tool_started',
      'tool_ended',
      'tool_started',
      'tool_ended',
      'usage',
      'turn_ended',
      'result',
    ])
    expect(session.track()).toMatchObject({
      initialised: true,
      turns: 1,
      toolCalls: 2,
      openTools: [],
      model: 'demo',
    })
  })

  it('has a HOME and TMPDIR of its own and nothing of this environment', async () => {
    process.env.SWARM_TEST_SECRET = 'hunter2'
    const { session } = await start([{ fault: 'hang_at_start' }])
    const env = readFileSync(`/proc/${session.pid}/environ`, 'utf8')
    delete process.env.SWARM_TEST_SECRET
    expect(env).not.toContain('hunter2')
    expect(env).toContain(`HOME=${join(scratch.dir, 'session-1', 'home')}`)
    expect(env).toContain(`TMPDIR=${join(scratch.dir, 'session-1', 'tmp')}`)
    expect(env).toContain(`SWARM_SESSION_MARKER=${session.marker}`)
  })

  it('takes another prompt when it is done, and leaves when there is none', async () => {
    const one = await start()
    await one.result()
    const from = one.events.length
    expect(one.session.send('and now tell me')).toBe(true)
    expect(one.session.track().result).toBeUndefined()
    expect(await one.until('result', undefined, from)).toMatchObject({ ok: true, detail: 'and now tell me' })
    expect(await one.session.end()).toMatchObject({ exitCode: 0 })
  })
})

describe('what goes wrong', () => {
  it('a program that hangs after its result is ended', async () => {
    const one = await start([{ fault: 'hang_after_result' }])
    expect(await one.result()).toMatchObject({ ok: true })
    expect(await one.session.end({ lingerMs: 100 })).toMatchObject({
      signal: 'SIGTERM',
      steps: ['SIGTERM'],
      left: [],
    })
  })

  it('one that ignores SIGTERM is killed', async () => {
    const one = await start([{ fault: 'ignore_sigterm' }, { fault: 'hang_after_result' }])
    await one.result()
    expect(await one.session.end({ lingerMs: 0 })).toMatchObject({ signal: 'SIGKILL', left: [] })
  })

  it('a crash before its last event is a crash, with the signal as evidence', async () => {
    const one = await start([{ fault: 'crash' }])
    expect(await one.result()).toMatchObject({ ok: false, reason: 'crashed', native: { signal: 'SIGKILL' } })
    expect(scratch.git('status', '--porcelain')).toContain('demo/')
  })

  it('exit 0 without a last event is a crash, not a success', async () => {
    const one = await start([{ fault: 'no_result', code: 0 }])
    expect(await one.result()).toMatchObject({ ok: false, reason: 'crashed', native: { exit_code: 0 } })
  })

  it('one that does not start says why', async () => {
    const one = await start([{ fault: 'exit_at_start', code: 3 }])
    expect(await one.result()).toMatchObject({ reason: 'crashed', native: { exit_code: 3 } })
    expect(one.session.track().initialised).toBe(false)
  })

  it('a quota stop says until when, and is over after a resume', async () => {
    const one = await start([{ fault: 'quota', ms: 60_000 }])
    expect(await one.result()).toMatchObject({ ok: false, reason: 'quota' })
    const { limitedUntil = 0, nativeId = '' } = one.session.track()
    expect(limitedUntil).toBeGreaterThan(Date.now() + 50_000)
    await one.session.end()
    const two = await start([{ fault: 'quota' }], { resume: nativeId })
    expect(await two.result()).toMatchObject({ ok: true })
    expect(two.session.track().nativeId).toBe(nativeId)
  })

  it('overload is told while it is retried and at the end', async () => {
    const one = await start([{ fault: 'overload' }])
    expect(await one.result()).toMatchObject({ reason: 'overloaded' })
    expect(kinds(one.events).filter((kind) => kind === 'retrying')).toHaveLength(3)
  })

  it('done without a diff looks like success: only the tree tells', async () => {
    const one = await start([{ fault: 'fake_done' }])
    expect(await one.result()).toMatchObject({ ok: true })
    expect(scratch.git('rev-list', '--count', 'HEAD')).toBe('1')
  })

  it('nothing is left of a child in a session of its own', async () => {
    const one = await start([{ fault: 'fork_and_leave' }])
    await one.result()
    expect(findMarked(one.session.marker)?.map(({ name }) => name)).toContain('sleep')
    const end = await one.session.end()
    expect(end.swept.map(({ name }) => name)).toEqual(['sleep'])
    expect(findMarked(one.session.marker)).toEqual([])
  })

  it('an interrupt ends a silent tool and the prompt, and the session lives', async () => {
    const one = await start([{ fault: 'silent_tool', ms: 600_000 }])
    await one.until('tool_started')
    expect(one.session.track().openTools).toHaveLength(1)
    expect(one.session.interrupt()).toBe(true)
    expect(await one.result()).toMatchObject({ reason: 'interrupted' })
    expect(await one.session.end()).toMatchObject({ exitCode: 1, steps: [] })
  })

  it('ending it in the middle of a tool leaves nothing running', async () => {
    const one = await start([{ fault: 'silent_tool', ms: 600_000, busy: true }])
    await one.until('tool_started')
    expect(await one.session.end()).toMatchObject({ left: [], canSweep: true })
    expect(findMarked(one.session.marker)).toEqual([])
    expect(await one.result()).toMatchObject({ reason: 'interrupted' })
  })

  it('what is not JSON is output, and a flood of it loses nothing', async () => {
    const one = await start([{ fault: 'not_json' }, { fault: 'flood', bytes: 3_000_000 }])
    expect(await one.result()).toMatchObject({ ok: true })
    const texts = one.events.flatMap((event) =>
      event.kind === 'output' && event.from === 'stdout' ? event.text : [],
    )
    expect(texts.slice(0, 2)).toEqual(['warning: this is no JSON', '{"half": '])
    expect(texts.join('\n').length).toBeGreaterThan(2_900_000)
  })

  it('a line of 50 MB is read, and bounded in its event', async () => {
    const one = await start([{ fault: 'long_line' }])
    expect(await one.result()).toMatchObject({ ok: true })
    const long = await one.until('output', ({ text }) => text.startsWith('xxx'))
    expect(long.text.length).toBeLessThan(70_000)
    expect(long.text).toContain('characters cut')
  })

  it('a question waits for its answer, which gets into the work', async () => {
    const one = await start([{ fault: 'question' }])
    const { id, options } = await one.until('question')
    expect(options).toEqual(['red', 'blue'])
    expect(one.session.answer('another', { kind: 'text', text: 'x' })).toBe(false)
    expect(one.session.answer(id, { kind: 'text', text: 'blue' })).toBe(true)
    expect(one.session.track().asking).toEqual([])
    await one.result()
    expect(readFileSync(join(scratch.repo, 'demo', 'work.txt'), 'utf8')).toContain('blue')
  })

  it('a permission is decided by the rules of the role, or asked for', async () => {
    const denied = await scratch.start(demoAdapter, {
      settings: demo(
        { faults: [{ fault: 'permission' }] },
        { permissions: { mode: 'allow', deny: ['ed*'] } },
      ),
    })
    expect(await denied.result()).toMatchObject({ ok: true, detail: 'the tool was denied; nothing is done' })
    expect(await denied.until('permission')).toMatchObject({ decided: 'deny' })
    const asking = await scratch.start(demoAdapter, {
      settings: demo({ faults: [{ fault: 'permission' }] }, { permissions: { mode: 'ask' } }),
    })
    const { id, decided } = await asking.until('permission')
    expect(decided).toBeUndefined()
    expect(asking.session.answer(id, { kind: 'allow' })).toBe(true)
    expect(await asking.result()).toMatchObject({ detail: 'Done with work.' })
  })

  it('can leave a dirty tree, and change what all change', async () => {
    const one = await start([{ fault: 'dirty_tree' }, { fault: 'conflict' }])
    await one.result()
    expect(scratch.git('status', '--porcelain')).toContain('left-behind')
    expect(existsSync(join(scratch.repo, 'demo', 'shared.txt'))).toBe(true)
  })
})
