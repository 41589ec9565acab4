import { SwarmError } from '../../contract/errors.ts'

/** Whatever was thrown, as an error of the table. A fault keeps its message and never shows its stack. */
export function toSwarmError(error: unknown): SwarmError {
  if (error instanceof SwarmError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new SwarmError('INTERNAL', `a fault in swarm: ${message.slice(0, 500)}`, { cause: error })
}
