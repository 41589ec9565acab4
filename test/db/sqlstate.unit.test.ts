import { describe, expect, it } from 'vitest'
import { explain } from '../../src/db/explain.ts'
import { Failure } from '../../src/db/failure.ts'
import { toFailure } from '../../src/db/sqlstate.ts'

const driverError = (code: string, message = 'said the server', severity?: string) =>
  Object.assign(new Error(message), { code, ...(severity ? { severity } : {}) })

const ABOUT = { shown: 'postgres://u:***@h/db', unknown: false }
const CALL = { cmd: 'claim-next', repo: 'r', args: { agent_id: 1 }, key: 'k' }

describe('toFailure', () => {
  const kinds: [string, string, string][] = [
    ['40P01', '', 'contention'],
    ['26000', 'prepared statement "x" does not exist', 'unprepared'],
    ['40001', '', 'contention'],
    ['55P03', '', 'contention'],
    ['57014', '', 'cancelled'],
    ['57P01', '', 'lost'],
    ['57P03', '', 'starting'],
    ['53300', '', 'full'],
    ['28P01', '', 'denied'],
    ['28000', '', 'denied'],
    ['42501', '', 'denied'],
    ['3D000', '', 'absent'],
    ['25006', '', 'readonly'],
    ['53100', '', 'exhausted'],
    ['42703', 'column "x" does not exist', 'schema'],
    ['42P01', 'relation "swarm.beads" does not exist', 'schema'],
    ['42P01', 'relation "other" does not exist', 'other'],
    ['42883', 'function swarm.run(text) does not exist', 'schema'],
    ['42883', 'operator does not exist: text = integer', 'other'],
    ['3F000', 'schema "swarm" does not exist', 'schema'],
    ['23505', '', 'other'],
    ['P0001', '', 'other'],
    ['CONNECTION_CLOSED', '', 'lost'],
    ['CONNECTION_DESTROYED', '', 'lost'],
    ['ECONNRESET', '', 'lost'],
    ['EPIPE', '', 'lost'],
    ['08P01', '', 'lost'],
    ['ECONNREFUSED', '', 'away'],
    ['ENOENT', '', 'away'],
    ['ENOTFOUND', '', 'away'],
    ['SELF_SIGNED_CERT_IN_CHAIN', '', 'tls'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', '', 'tls'],
    ['UNDEFINED_VALUE', '', 'other'],
  ]
  it.each(kinds)('%s %s is %s once it was sent', (code, message, kind) => {
    expect(toFailure(driverError(code, message), true)).toMatchObject({ kind, code, sent: true })
  })

  it('makes a connection that died before anything was sent away, not lost', () => {
    for (const code of ['CONNECTION_CLOSED', 'ECONNRESET', '57P01', '08006', 'CONNECT_TIMEOUT']) {
      expect(toFailure(driverError(code), false)).toMatchObject({ kind: 'away', rolledBack: true })
    }
  })

  it('takes any FATAL for the end of the connection', () => {
    expect(toFailure(driverError('XX000', 'm', 'FATAL'), true).kind).toBe('lost')
    expect(toFailure(driverError('XX000', 'm', 'ERROR'), true).kind).toBe('other')
  })

  it('survives what is no error', () => {
    expect(toFailure('boom', true)).toMatchObject({ kind: 'other', message: 'boom' })
    expect(toFailure(undefined, true)).toMatchObject({ kind: 'other' })
  })
})

describe('explain', () => {
  const cases: [string, string, string, number, boolean, string | undefined][] = [
    ['ECONNREFUSED', '', 'DEPENDENCY', 7, true, 'doctor'],
    ['57P03', '', 'DEPENDENCY', 7, true, undefined],
    ['53300', '', 'BUSY', 11, true, undefined],
    ['28P01', '', 'UNAUTHORIZED', 12, false, 'doctor'],
    ['3D000', '', 'DEPENDENCY', 7, false, 'doctor'],
    ['42P01', 'relation "swarm.x" does not exist', 'DEPENDENCY', 7, false, 'init-db'],
    ['57014', '', 'TIMEOUT', 13, true, undefined],
    ['40P01', '', 'BUSY', 11, true, undefined],
    ['23514', '', 'INTERNAL', 3, false, undefined],
    ['25006', '', 'DEPENDENCY', 7, false, 'doctor'],
  ]
  it.each(cases)('%s %s is %s, exit %i', (code, message, expected, exit, retryable, fix) => {
    const error = explain(toFailure(driverError(code, message), code !== 'ECONNREFUSED'), ABOUT)
    expect(error).toMatchObject({ code: expected, exitCode: exit, retryable })
    expect(error.fix?.cmd).toBe(fix)
    expect(error.ctx.database).toBe(ABOUT.shown)
  })

  it('gives a write whose outcome is unknown its key, whatever ended the last attempt', () => {
    for (const failure of [
      toFailure(driverError('ECONNREFUSED'), false),
      new Failure('deadline', 'DEADLINE', 'late', true),
    ]) {
      const error = explain(failure, { ...ABOUT, unknown: true, call: CALL })
      expect(error).toMatchObject({
        code: 'TIMEOUT',
        retryable: true,
        ctx: { outcome: 'unknown', idem: 'k' },
      })
      expect(error.fix).toEqual({ cmd: 'claim-next', repo: 'r', agent_id: 1, idem: 'k' })
    }
  })

  it('does not call a change without a key retryable when it may have been made', () => {
    const error = explain(toFailure(driverError('CONNECTION_CLOSED'), true), { ...ABOUT, unknown: true })
    expect(error).toMatchObject({ code: 'DEPENDENCY', retryable: false, ctx: { outcome: 'unknown' } })
  })

  it('masks passwords in what the server says', () => {
    const error = explain(
      toFailure(driverError('23514', 'value postgres://u:hunter2@h/db is bad'), true),
      ABOUT,
    )
    expect(error.message).not.toContain('hunter2')
  })
})
