import { SwarmError } from '../contract/errors.ts'
import { maskSecrets } from '../contract/secrets.ts'

/** Whatever was thrown, as an error of the table. A fault keeps its message, without secrets, and never shows its stack. */
export function toSwarmError(error: unknown): SwarmError {
  if (error instanceof SwarmError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new SwarmError('INTERNAL', `a fault in swarm: ${maskSecrets(message.slice(0, 500))}`, {
    cause: error,
  })
}
