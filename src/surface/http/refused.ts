import type { SwarmError } from '../../contract/errors.ts'

/** A request that HTTP itself refuses, with a status that its code alone does not say. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly status: number
  readonly error: SwarmError

  constructor(status: number, error: SwarmError) {
    super(error.message)
    this.status = status
    this.error = error
  }
}
