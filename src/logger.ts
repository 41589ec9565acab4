import type { Logger as Pino } from 'pino'
import { maskSecrets, SECRET_NAME } from './contract/secrets.ts'

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Writes one line; `fields` become keys of it. An Error under `err` is written with its stack. */
type Write = (fields: Readonly<Record<string, unknown>>, message: string) => void

/** The log of this process: JSON lines on stderr, nothing on stdout. */
export type Logger = Readonly<Record<Exclude<LogLevel, 'silent'>, Write>>

let logger: Logger | undefined

/**
 * The one logger. pino is loaded when the first line that is to be written comes: a process with nothing to report never
 * loads it. `SWARM_LOG_LEVEL` is the lowest level that is written, `warn` by default. Passwords are masked wherever
 * they stand.
 */
export function getLogger(): Logger {
  logger ??= createLogger(process.env.SWARM_LOG_LEVEL)
  return logger
}

/** A logger of its own, for tests: `load` makes what it writes to, once, when it is needed. */
export function createLogger(
  wanted: string | undefined,
  load: (level: LogLevel) => Promise<Pino> = loadPino,
): Logger {
  const level = LOG_LEVELS.find((name) => name === wanted?.toLowerCase()) ?? 'warn'
  let loading: Promise<Pino> | undefined

  function writer(name: Exclude<LogLevel, 'silent'>): Write {
    if (LOG_LEVELS.indexOf(name) < LOG_LEVELS.indexOf(level)) return () => {}
    return (fields, message) => {
      loading ??= load(level)
      // a log that cannot be written must not end the process
      loading.then((pino) => pino[name](masked(fields), maskSecrets(message))).catch(() => {})
    }
  }

  return {
    trace: writer('trace'),
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
    fatal: writer('fatal'),
  }
}

async function loadPino(level: LogLevel): Promise<Pino> {
  const { pino } = await import('pino')
  const stderr = pino.destination({ dest: 2, sync: true })
  stderr.on('error', () => {})
  return pino({ level, base: { pid: process.pid } }, stderr)
}

const MAX_DEPTH = 6

function masked(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, mask(name, value, MAX_DEPTH)]),
  )
}

function mask(name: string, value: unknown, depth: number): unknown {
  if (typeof value === 'string') return SECRET_NAME.test(name) ? hidden(value) : maskSecrets(value)
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth === 0) return '…'
  if (value instanceof Error) return mask(name, describeError(value), depth)
  if (Array.isArray(value)) return value.map((item) => mask(name, item, depth - 1))
  const entries = Object.entries(value).map(([key, item]) => [key, mask(key, item, depth - 1)])
  return Object.fromEntries(entries)
}

/** Of a URL the password is hidden, of any other secret all of it. */
function hidden(secret: string): string {
  return secret.includes('://') ? maskSecrets(secret) : '***'
}

function describeError(error: Error): Record<string, unknown> {
  const { name, message, stack, cause } = error
  return { ...error, type: name, message, stack, ...(cause === undefined ? {} : { cause }) }
}
