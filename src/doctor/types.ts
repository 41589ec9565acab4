import type { FixRequest } from '../contract/errors.ts'

/** One thing that `doctor` looked at. */
export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
  /** The request that mends it. */
  readonly fix?: FixRequest
}

export function good(name: string, detail: string): Check {
  return { name, ok: true, detail }
}

export function bad(name: string, detail: string, fix?: FixRequest): Check {
  return { name, ok: false, detail, ...(fix ? { fix } : {}) }
}
