import type { WriteCall } from '../contract/context.ts'
import { type FixRequest, SwarmError, type SwarmErrorOptions } from '../contract/errors.ts'
import { isJsonObject, type JsonObject } from '../contract/json.ts'
import { refusalToError } from '../contract/refusal.ts'
import { maskSecrets } from '../contract/secrets.ts'
import type { Failure } from './failure.ts'

/** The SQLSTATE under which schema.sql raises a refusal. */
const RAISED_REFUSAL = 'SW001'

/** Of the server's own text, in characters. */
const LONGEST_TEXT = 2_000

/** Why a password that the user has set did not go to the server. */
const WITHHELD =
  '. PGPASSWORD is not sent to a server that a configuration file names: put the URL into DATABASE_URL, or the password into it'

export interface About {
  /** The database, as it may be shown. */
  readonly shown: string
  /** True when a password of the environment was not used, since the URL stood in a file. */
  readonly withheld?: boolean
  /** True when the statement may have been done. */
  readonly unknown: boolean
  /** The write it was, so that the same can be sent again. */
  readonly call?: WriteCall | undefined
}

/** The error that an agent gets for a failure. Passwords are masked; the server's own text is kept where it says more. */
export function explain(failure: Failure, about: About): SwarmError {
  const refused = raisedRefusal(failure)
  if (refused) return refused
  const { shown, call } = about
  // cut first: masking must not take the time that a long text would
  const text = maskSecrets(failure.message.slice(0, LONGEST_TEXT))
  const again = call ? { fix: sameRequest(call) } : {}
  const doctor = { fix: { cmd: 'doctor' } }
  const make = (
    code: 'TIMEOUT' | 'DEPENDENCY' | 'BUSY' | 'UNAUTHORIZED' | 'INTERNAL',
    message: string,
    options: SwarmErrorOptions,
  ) =>
    new SwarmError(code, message, {
      ...options,
      ctx: { ...facts(failure, shown), ...options.ctx },
      cause: failure,
    })

  if (about.unknown && call) {
    const ctx = { outcome: 'unknown', idem: call.key }
    return make(
      'TIMEOUT',
      `${shown} has not said whether this write was done; send it again with the same idem`,
      { ctx, ...again },
    )
  }
  switch (failure.kind) {
    case 'lost':
      if (!about.unknown) return make('DEPENDENCY', `the connection to ${shown} died`, { ...again })
      return make(
        'DEPENDENCY',
        `the connection to ${shown} died; it is not known whether the change was made`,
        {
          ctx: { outcome: 'unknown' },
          retryable: false,
        },
      )
    case 'deadline':
      return make('TIMEOUT', `${shown} has not answered before the deadline`, {
        ...(about.unknown ? { ctx: { outcome: 'unknown' } } : {}),
        ...again,
      })
    case 'cancelled':
      return make('TIMEOUT', `${shown} ended the statement: ${text}`, { ...again })
    case 'away':
      return make('DEPENDENCY', `there is no connection to ${shown}: ${reason(failure, text)}`, doctor)
    case 'starting':
      return make('DEPENDENCY', `${shown} is not ready: ${text}`, { ...again })
    case 'full':
      return make('BUSY', `${shown} has no connection left: ${text}`, { ...again })
    case 'contention':
      return make('BUSY', 'others kept changing the same rows until the deadline', { ...again })
    case 'denied':
      return make('UNAUTHORIZED', `${shown} refused: ${text}${about.withheld ? WITHHELD : ''}`, doctor)
    case 'schema':
      return make('DEPENDENCY', `the database has no swarm schema, or an older one: ${text}`, {
        fix: { cmd: 'init-db' },
        retryable: false,
      })
    case 'absent':
      return make('DEPENDENCY', `${shown} cannot be used: ${text}`, { ...doctor, retryable: false })
    case 'readonly':
      return make('DEPENDENCY', `${shown} only reads: ${text}`, { ...doctor, retryable: false })
    case 'tls':
      return make('DEPENDENCY', `there is no TLS connection to ${shown}: ${text}`, {
        ...doctor,
        retryable: false,
      })
    case 'exhausted':
      return make('DEPENDENCY', `the server of ${shown} has run out of resources: ${text}`, { ...again })
    case 'unprepared':
    case 'startup':
    case 'other':
      return make('INTERNAL', `the database answered an error: ${text}`, { area: 'database' })
  }
}

/** A refusal that a function found after its first write: it raised it, with the refusal as detail, so that all was undone. */
function raisedRefusal({ code, cause }: Failure): SwarmError | undefined {
  if (code !== RAISED_REFUSAL || !(cause instanceof Error)) return undefined
  const detail: unknown = Reflect.get(cause, 'detail')
  const value: unknown = typeof detail === 'string' ? JSON.parse(detail) : undefined
  return refusalToError(isJsonObject(value) ? value.refused : undefined)
}

/** The request that made this write, with its operation key: sending it again cannot do it twice. */
function sameRequest(call: WriteCall): FixRequest {
  return { cmd: call.cmd, repo: call.repo, ...call.args, idem: call.key }
}

function facts({ code }: Failure, shown: string): JsonObject {
  return { database: shown, ...(/^[0-9A-Z]{5}$/.test(code) ? { sqlstate: code } : { reason: code }) }
}

function reason(failure: Failure, text: string): string {
  switch (failure.code) {
    case 'ECONNREFUSED':
      return 'nobody listens there'
    case 'ENOENT':
      return 'its socket does not exist'
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'its host name cannot be resolved'
    case 'CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return 'it did not answer within the connect timeout'
    default:
      return text || failure.code
  }
}
