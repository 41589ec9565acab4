import type { FixRequest, SwarmErrorOptions } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'

/** Fields that may hold a password: never echoed, so a request that had one must be given it again. */
const SECRET = ['database_url'] as const

/**
 * The request as a `fix`, with its secrets taken out and listed in `needs`. Nothing when it is no request: then
 * there is nothing to send again.
 */
export function sendable(request: JsonObject): Pick<SwarmErrorOptions, 'fix' | 'needs'> {
  const { cmd } = request
  if (typeof cmd !== 'string' || cmd === '') return {}
  const needs = SECRET.filter((name) => request[name] !== undefined)
  const fix: FixRequest = {
    ...Object.fromEntries(
      Object.entries(request).filter(([name]) => !SECRET.some((secret) => secret === name)),
    ),
    cmd,
  }
  return needs.length > 0 ? { fix, needs } : { fix }
}
