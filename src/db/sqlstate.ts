import { Failure, type FailureKind } from './failure.ts'

const BY_STATE: Readonly<Record<string, FailureKind>> = {
  '40001': 'contention',
  '40P01': 'contention',
  '55P03': 'contention',
  '57014': 'cancelled',
  '57P01': 'lost',
  '57P02': 'lost',
  '57P03': 'starting',
  '57P04': 'absent',
  '57P05': 'lost',
  '25P03': 'lost',
  '25P04': 'lost',
  '53100': 'exhausted',
  '53200': 'exhausted',
  '53300': 'full',
  '26000': 'unprepared',
  '42P05': 'unprepared',
  '28000': 'denied',
  '28P01': 'denied',
  '42501': 'denied',
  '25006': 'readonly',
  '3D000': 'absent',
  '3F000': 'schema',
  '42703': 'schema',
  // a function of an older schema writes a column or table that is not there
  '42P01': 'schema',
  '42883': 'schema',
}

/** System and driver codes of a connection that could not be made. */
const AWAY = new Set([
  ...[
    'ECONNREFUSED',
    'ENOENT',
    'ENOTFOUND',
    'EAI_AGAIN',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ENETDOWN',
    'EHOSTDOWN',
  ],
  ...[
    'EACCES',
    'EPERM',
    'ENOTSOCK',
    'EADDRNOTAVAIL',
    'EMFILE',
    'ENFILE',
    'EAGAIN',
    'EINVAL',
    'CONNECT_TIMEOUT',
  ],
])
const LOST = new Set([
  ...[
    'CONNECTION_CLOSED',
    'CONNECTION_DESTROYED',
    'CONNECTION_ENDED',
    'ECONNRESET',
    'ECONNABORTED',
    'EPIPE',
    'ETIMEDOUT',
  ],
  ...['ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END', 'ERR_SOCKET_CLOSED', 'ENOTCONN', 'EBADF'],
])

/**
 * What a driver error means. `sent` says whether the statement may have reached the server: a connection that dies before that
 * is away, not lost.
 */
export function toFailure(error: unknown, sent: boolean): Failure {
  if (error instanceof Failure) return error
  const { code, severity, message } = factsOf(error)
  return new Failure(kindOf(code, severity, message, sent), code, message, sent, error)
}

function kindOf(code: string, severity: string, message: string, sent: boolean): FailureKind {
  const kind = Object.hasOwn(BY_STATE, code) ? BY_STATE[code] : undefined
  if (kind === 'schema') return code === '42703' || /\bswarm\b/.test(message) ? 'schema' : 'other'
  if (kind === 'lost') return sent ? 'lost' : 'away'
  if (kind) return kind
  if (code === '08P01' && message.includes('startup parameter')) return 'startup'
  if (AWAY.has(code)) return sent && code === 'CONNECT_TIMEOUT' ? 'lost' : 'away'
  if (LOST.has(code) || code.startsWith('08') || severity === 'FATAL' || severity === 'PANIC')
    return sent ? 'lost' : 'away'
  if (isTls(code) || code === 'CLEAR_TEXT_PASSWORD') return 'tls'
  return 'other'
}

/** Node's names for TLS faults: `ERR_TLS_…`, `ERR_SSL_…`, and OpenSSL's reasons to refuse a certificate. */
function isTls(code: string): boolean {
  return /^ERR_(?:TLS|SSL)_|CERT|^UNABLE_TO_|^SELF_SIGNED|^DEPTH_ZERO|^HOSTNAME_MISMATCH$|^EPROTO$/.test(code)
}

function factsOf(error: unknown): { code: string; severity: string; message: string } {
  if (!(error instanceof Error)) return { code: 'UNKNOWN', severity: '', message: String(error) }
  return {
    code: textOf(error, 'code') || error.name,
    severity: textOf(error, 'severity'),
    message: error.message,
  }
}

function textOf(error: Error, field: string): string {
  const value: unknown = Reflect.get(error, field)
  return typeof value === 'string' ? value : ''
}
