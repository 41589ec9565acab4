import type { JsonObject } from './json.ts'
import { maskTokens } from './token.ts'

/**
 * Every error code with its exit codes. `exits` is keyed by area: one code can leave the process in two ways,
 * as DESIGN section 4 fixes them. A code without areas has the one exit `other`.
 */
export const ERRORS = {
  CLI_ERROR: { exits: { other: 1 }, retryable: false, summary: 'the command line could not be read' },
  INVALID: {
    exits: { configuration: 2, request: 8 },
    retryable: false,
    summary: 'the configuration or the request is wrong; ctx names the field',
  },
  INTERNAL: {
    exits: { database: 3, other: 9 },
    retryable: false,
    summary: 'a fault in swarm or in the database, not in the request',
  },
  CONFLICT: {
    exits: { claim: 4, stage: 6, request: 4 },
    retryable: false,
    summary: 'the state has moved on: somebody else holds it, the fence is old, or the stage is another',
  },
  NOTFOUND: { exits: { other: 5 }, retryable: false, summary: 'no such agent, bead, message or claim' },
  DEPENDENCY: {
    exits: { other: 7 },
    retryable: true,
    summary: 'something swarm needs is away: the database, a binary, a file',
  },
  EXISTS: { exits: { other: 10 }, retryable: false, summary: 'it is there already and differs' },
  BUSY: { exits: { other: 11 }, retryable: true, summary: 'held by somebody else for now' },
  UNAUTHORIZED: { exits: { other: 12 }, retryable: false, summary: 'the credentials were refused' },
  TIMEOUT: { exits: { other: 13 }, retryable: true, summary: 'no answer before the deadline' },
} as const

export type ErrorCode = keyof typeof ERRORS

/** Which half of a code with two exits is meant. */
export type ErrorArea = 'configuration' | 'request' | 'database' | 'claim' | 'stage' | 'other'

/** A request that would work, as an object; rendered as a JSON line or as a shell command at the edge. */
export interface FixRequest extends JsonObject {
  readonly cmd: string
}

/** What kind of mistake `err.ctx` describes, for errors about one field. */
export type FieldErrorKind = 'MissingField' | 'InvalidType' | 'InvalidValue' | 'UnknownField' | 'Custom'

export interface SwarmErrorOptions {
  /** Which exit code of a code that has two; the first of the table by default. */
  readonly area?: ErrorArea
  /** Facts an agent can act on. Never a secret. */
  readonly ctx?: JsonObject
  /** The request that would work. Only real values; what is missing goes to `needs`. */
  readonly fix?: FixRequest
  /** Names of fields that `fix` still lacks. */
  readonly needs?: readonly string[]
  readonly retryable?: boolean
  readonly cause?: unknown
}

/** The one error class. Whatever else is thrown is a fault and becomes INTERNAL at the edge. */
export class SwarmError extends Error {
  override readonly name = 'SwarmError'
  readonly code: ErrorCode
  readonly area: ErrorArea
  readonly ctx: JsonObject
  readonly fix: FixRequest | undefined
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, options: SwarmErrorOptions = {}) {
    super(maskTokens(message), options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.area = options.area ?? defaultArea(code)
    this.retryable = options.retryable ?? ERRORS[code].retryable
    const needs = options.needs && options.needs.length > 0 ? { needs: options.needs } : {}
    this.ctx = withoutTokens({ ...options.ctx, ...needs, ...(this.retryable ? { retryable: true } : {}) })
    // a request with a token in it can be sent by its owner only, who has it
    this.fix = options.fix && withoutTokens(options.fix) === options.fix ? options.fix : undefined
  }

  /** The same error with another message, other facts or another fix; `fix: undefined` takes the fix away. */
  with(
    changes: Pick<SwarmErrorOptions, 'ctx'> & {
      readonly message?: string
      readonly fix?: FixRequest | undefined
    },
  ): SwarmError {
    const { code, area, retryable } = this
    const fix = 'fix' in changes ? changes.fix : this.fix
    return new SwarmError(code, changes.message ?? this.message, {
      area,
      ctx: changes.ctx ?? this.ctx,
      ...(fix ? { fix } : {}),
      retryable,
      cause: this,
    })
  }

  /** The process exit code of this error (DESIGN section 4). */
  get exitCode(): number {
    return exitCodeOf(this.code, this.area)
  }
}

/** The exit code of a code and area; an area the code does not have falls back to its first exit. */
export function exitCodeOf(code: ErrorCode, area: ErrorArea): number {
  const exits: Partial<Record<ErrorArea, number>> = ERRORS[code].exits
  return exits[area] ?? exits[defaultArea(code)] ?? 9
}

/** True when `text` is one of the table's codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text)
}

/** The same object where there is no token in it. */
function withoutTokens<T extends JsonObject>(value: T): T {
  const text = JSON.stringify(value)
  const masked = maskTokens(text)
  return masked === text ? value : JSON.parse(masked)
}

function defaultArea(code: ErrorCode): ErrorArea {
  switch (code) {
    case 'INVALID':
      return 'request'
    case 'INTERNAL':
      return 'other'
    case 'CONFLICT':
      return 'claim'
    default:
      return 'other'
  }
}
