import { PassThrough, Writable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Envelope } from '../../src/contract/envelope.ts'
import { fakeHandler, line, runAll, startSession } from './support.ts'

const rids = (envelopes: readonly Envelope[]) => envelopes.map((one) => one.rid)
const codes = (envelopes: readonly Envelope[]) => envelopes.map((one) => (one.ok ? 'ok' : one.err.code))

describe('a session', () => {
  it('answers every line that is not blank, in order, and a bad one never ends it', async () => {
    const { envelopes, exitCode } = await runAll(
      Buffer.concat([
        Buffer.from(`\ufeff${line({ cmd: 'echo', rid: 1 })}\r\n  \nnot json\nnull\n`),
        Buffer.from([0xff, 0x0a]),
        Buffer.from(`${'x'.repeat(2_097_152)}\n`),
        Buffer.from(`${line({ cmd: 'refuse', rid: 'r' })}${line({ cmd: 'throw-accept', rid: 2 })}`),
        Buffer.from(`${line({ cmd: 'throw-run', rid: 3 })}${line({ cmd: 'not-json', rid: 4 })}`),
        Buffer.from(JSON.stringify({ cmd: 'echo', rid: 5 })),
      ]),
    )
    expect(codes(envelopes)).toEqual([
      'ok',
      'INVALID',
      'INVALID',
      'INVALID',
      'INVALID',
      'NOTFOUND',
      'INTERNAL',
      'INTERNAL',
      'INTERNAL',
      'ok',
    ])
    expect(rids(envelopes)).toEqual([1, undefined, undefined, undefined, undefined, 'r', 2, 3, 4, 5])
    expect(exitCode).toBe(8)
  })

  it('ends with 0 when nothing failed', async () => {
    const { exitCode } = await runAll(line({ cmd: 'echo' }) + line({ cmd: 'echo' }))
    expect(exitCode).toBe(0)
  })

  it.each(['', '\n', ' \r\n\n'])('answers INVALID once when nothing was asked: %j', async (text) => {
    const { envelopes, exitCode } = await runAll(text)
    expect(envelopes).toMatchObject([{ ok: false, err: { code: 'INVALID' }, fix: '{"cmd":"describe"}' }])
    expect(exitCode).toBe(8)
  })

  it('hears of faults and tells the client nothing of them', async () => {
    const faults: unknown[] = []
    const { envelopes } = await runAll(
      line({ cmd: 'throw-run', rid: 1 }) + line({ cmd: 'not-json', rid: 2 }),
      {
        onFault: (fault) => faults.push(fault),
      },
    )
    expect(faults.map(String)).toEqual(['Error: run threw', expect.stringContaining('BigInt')])
    expect(JSON.stringify(envelopes)).not.toMatch(/threw|BigInt/)
  })

  it('runs one request after the other', async () => {
    const session = startSession()
    let open = () => {}
    session.handler.hold = new Promise((resolve) => {
      open = resolve
    })
    session.input.write(
      line({ cmd: 'echo', rid: 1 }) + line({ cmd: 'echo', rid: 2 }) + line({ cmd: 'refuse', rid: 3 }),
    )
    for (let count = 0; count < 5; count += 1) await turn()
    expect(session.envelopes()).toEqual([])
    expect(session.handler.ran).toEqual([])
    open()
    expect(rids(await session.seen(3))).toEqual([1, 2, 3])
    session.input.end()
    await session.done
  })
})

describe('appends', () => {
  const append = (rid: number) => line({ cmd: 'append', rid })

  it('travel together up to 64, in line order', async () => {
    const lines = Array.from({ length: 150 }, (_, at) => append(at))
    const { envelopes, ran } = await runAll(lines.join(''))
    expect(ran.map((batch) => (Array.isArray(batch) ? batch.length : 1))).toEqual([64, 64, 22])
    expect(rids(envelopes)).toEqual(lines.map((_, at) => at))
    expect(ran.flat().map((one) => one.rid)).toEqual(lines.map((_, at) => at))
  })

  it('stop at the first line that is none', async () => {
    const text = [1, 2].map(append).join('') + line({ cmd: 'echo', rid: 3 }) + [4, 5].map(append).join('')
    const { envelopes, ran } = await runAll(`${text}broken\n${append(6)}`)
    expect(ran).toEqual([
      [
        { cmd: 'append', rid: 1 },
        { cmd: 'append', rid: 2 },
      ],
      { cmd: 'echo', rid: 3 },
      [
        { cmd: 'append', rid: 4 },
        { cmd: 'append', rid: 5 },
      ],
      { cmd: 'append', rid: 6 },
    ])
    expect(rids(envelopes)).toEqual([1, 2, 3, 4, 5, undefined, 6])
  })

  it('do not wait for company', async () => {
    const session = startSession()
    session.input.write(append(1))
    expect(await session.seen(1)).toMatchObject([{ ok: true, rid: 1, d: { ran: 1 } }])
    session.input.end()
    await session.done
  })

  it('are answered INTERNAL when the handler loses a reply', async () => {
    const { envelopes } = await runAll(line({ cmd: 'append', rid: 1, lose: true }) + append(2))
    expect(codes(envelopes)).toEqual(['INTERNAL', 'INTERNAL'])
    expect(rids(envelopes)).toEqual([1, 2])
  })
})

describe('requests that wait', () => {
  it('run beside the others and are answered when it happens', async () => {
    const session = startSession()
    session.input.write(
      line({ cmd: 'wait', rid: 'w1' }) + line({ cmd: 'wait', rid: 'w2' }) + line({ cmd: 'echo', rid: 3 }),
    )
    expect(rids(await session.seen(1))).toEqual([3])
    session.handler.release('w2')
    expect(rids(await session.seen(2))).toEqual([3, 'w2'])
    session.input.end()
    session.handler.release('w1')
    await session.done
    expect(rids(session.envelopes())).toEqual([3, 'w2', 'w1'])
  })

  it('need a rid that is not open; the fix has a free one', async () => {
    const session = startSession()
    session.input.write(
      line({ cmd: 'wait' }) + line({ cmd: 'wait', rid: 'w1' }) + line({ cmd: 'wait', rid: 'w1' }),
    )
    session.input.write(line({ cmd: 'wait', rid: 7 }) + line({ cmd: 'wait', rid: 7 }) + line({ cmd: 'wait' }))
    expect(await session.seen(4)).toMatchObject([
      {
        ok: false,
        err: { code: 'INVALID', ctx: { kind: 'MissingField', field: 'rid' } },
        fix: '{"cmd":"wait","rid":"w1"}',
      },
      {
        ok: false,
        rid: 'w1',
        err: { code: 'INVALID', ctx: { kind: 'InvalidValue', field: 'rid', got: 'w1' } },
        fix: '{"cmd":"wait","rid":"w1-2"}',
      },
      { ok: false, rid: 7, err: { code: 'INVALID' }, fix: '{"cmd":"wait","rid":8}' },
      { ok: false, err: { code: 'INVALID' }, fix: '{"cmd":"wait","rid":"w2"}' },
    ])
    session.handler.shutdown()
    session.input.end()
    await session.done
  })

  it('may use a rid again after its answer', async () => {
    const session = startSession()
    for (let round = 1; round <= 3; round += 1) {
      session.input.write(line({ cmd: 'wait', rid: 1 }) + line({ cmd: 'echo', rid: 0 }))
      await session.seen(round * 2 - 1)
      session.handler.release(1)
      await session.seen(round * 2)
    }
    session.input.end()
    expect((await session.done).exitCode).toBe(0)
  })

  it('are bounded in number', async () => {
    const session = startSession({ limits: { maxOpenWaits: 2 } })
    for (const rid of [1, 2, 3]) session.input.write(line({ cmd: 'wait', rid }))
    expect(await session.seen(1)).toMatchObject([
      {
        ok: false,
        rid: 3,
        err: { code: 'BUSY', ctx: { retryable: true, limit: 2 } },
        fix: '{"cmd":"wait","rid":3}',
      },
    ])
    session.handler.shutdown()
    session.input.end()
    expect((await session.done).exitCode).toBe(11)
  })

  it('are waited for at the end of the input', async () => {
    let ended = 0
    const session = startSession({ onInputEnd: () => ended++ })
    session.input.end(line({ cmd: 'wait', rid: 1 }) + line({ cmd: 'echo', rid: 2 }))
    await session.seen(1)
    let over = false
    void session.done.then(() => {
      over = true
    })
    for (let count = 0; count < 5; count += 1) await turn()
    expect({ ended, over }).toEqual({ ended: 1, over: false })
    session.handler.release(1)
    await session.done
    expect(rids(session.envelopes())).toEqual([2, 1])
  })
})

describe('the signal to stop', () => {
  it('answers open waits, runs nothing more, and answers what was read', async () => {
    const session = startSession()
    let open = () => {}
    session.handler.hold = new Promise((resolve) => {
      open = resolve
    })
    const late = { cmd: 'echo', rid: 3, idem: 'k', database_url: 'postgres://u:s3cret@h/d' }
    session.input.write(
      line({ cmd: 'wait', rid: 1 }) +
        line({ cmd: 'echo', rid: 2 }) +
        line(late) +
        line({ cmd: 'wait', rid: 4 }) +
        'bad\n{"cut',
    )
    await turn()
    await turn()
    session.stop.abort()
    expect(await session.seen(1)).toMatchObject([{ ok: true, rid: 1, d: { reason: 'shutdown' } }])
    open()
    const { exitCode } = await session.done
    expect(session.envelopes().slice(1)).toMatchObject([
      { ok: true, rid: 2 },
      {
        ok: false,
        rid: 3,
        err: { code: 'BUSY', ctx: { reason: 'shutdown', needs: ['database_url'] } },
        fix: '{"cmd":"echo","rid":3,"idem":"k"}',
      },
      { ok: false, rid: 4, err: { code: 'BUSY' }, fix: '{"cmd":"wait","rid":4}' },
      { ok: false, err: { code: 'INVALID' } },
    ])
    expect(session.handler.ran).toEqual([{ cmd: 'echo', rid: 2 }])
    expect(exitCode).toBe(11)
  })

  it('ends an idle session with 0 and without a word', async () => {
    const session = startSession()
    session.stop.abort()
    expect(await session.done).toMatchObject({ exitCode: 0 })
    expect(session.envelopes()).toEqual([])
  })

  it.each(['while it reads', 'while it flushes'])(
    'does not wait for a reader that reads no more: %s',
    async (when) => {
      const session = startSession({ output: new Writable({ write() {} }), limits: { shutdownFlushMs: 20 } })
      session.input.write(line({ cmd: 'echo' }))
      if (when === 'while it flushes') session.input.end()
      for (let count = 0; count < 5; count += 1) await turn()
      session.stop.abort()
      expect(await session.done).toMatchObject({ abandoned: true })
    },
  )
})

describe('the output', () => {
  it('holds the session back until it drains, and the input with it', async () => {
    const input = new PassThrough({ highWaterMark: 64 })
    const output = new PassThrough({ highWaterMark: 1_024 })
    const session = startSession({ input, output, limits: { maxQueuedLines: 8 } })
    const text = Array.from({ length: 200 }, (_, rid) => line({ cmd: 'big', size: 100, rid }))
    let taken = 0
    void (async () => {
      for (const one of text) {
        if (!input.write(one)) await new Promise((resolve) => input.once('drain', resolve))
        taken += 1
      }
      input.end()
    })()
    for (let count = 0; count < 50; count += 1) await turn()
    expect(taken).toBeLessThan(60)
    const parts: Buffer[] = []
    output.on('data', (part: Buffer) => parts.push(part))
    await session.done
    const answered = Buffer.concat(parts)
      .toString()
      .trimEnd()
      .split('\n')
      .map((one) => JSON.parse(one))
    expect(rids(answered)).toEqual(text.map((_, at) => at))
  })

  it('ends the session quietly when its reader has gone', async () => {
    let closed = 0
    const gone = Object.assign(new Error('gone'), { code: 'EPIPE' })
    const handler = fakeHandler()
    const session = startSession({
      handler,
      output: new Writable({ write: (_chunk, _encoding, done) => done(gone) }),
      onOutputClosed: () => {
        closed += 1
        handler.shutdown()
      },
    })
    session.input.write(line({ cmd: 'wait', rid: 1 }) + line({ cmd: 'echo' }) + line({ cmd: 'echo' }))
    const { outputError } = await session.done
    expect(outputError).toBeUndefined()
    expect(closed).toBe(1)
    expect(handler.ran.length).toBeLessThan(3)
  })

  it('on a terminal is the same JSON with nothing in it that a terminal would obey', async () => {
    const evil = 'a\u009b31mred\u0090\u202egnp.exe\u2066\u007fé'
    const parts: Buffer[] = []
    const output = Object.assign(
      new Writable({
        write(chunk, _encoding, done) {
          parts.push(chunk)
          done()
        },
      }),
      { isTTY: true },
    )
    await runAll(line({ cmd: 'echo', rid: evil }), { output })
    const text = Buffer.concat(parts).toString()
    expect(text).toContain('a\\u009b31mred\\u0090\\u202egnp.exe\\u2066\\u007fé')
    expect(JSON.parse(text).rid).toBe(evil)
  })

  it('says why when it could not be written for another reason', async () => {
    const full = Object.assign(new Error('disk full'), { code: 'ENOSPC' })
    const { outputError } = await runAll(line({ cmd: 'echo' }), {
      output: new Writable({ write: (_chunk, _encoding, done) => done(full) }),
    })
    expect(outputError).toBe(full)
  })
})
