import type { AnyCommand } from '../contract/command.ts'
import type { JsonObject } from '../contract/json.ts'
import { type Defaults, type Parsed, tryParse } from '../contract/try-parse.ts'

/**
 * Parses a request of a known verb. A wrong one is INVALID: `ctx` says what is wrong with which field and `fix`
 * is the request as it would work. Explaining is loaded only then.
 */
export async function parseRequest(
  command: AnyCommand,
  raw: JsonObject,
  defaults: Defaults = {},
): Promise<Parsed> {
  const attempt = tryParse(command, raw, defaults)
  if ('parsed' in attempt) return attempt.parsed
  const { explain } = await import('../repair/explain.ts')
  throw explain(command, raw, defaults, attempt.issues)
}
