/**
 * What a client sends, as one line. The answer is a line at once, which says that somebody reads; an empty line each second while the
 * request runs; and a line with the end.
 */
export interface Question {
  /** The build that the client would run: another one does not answer for it. */
  readonly build: string
  /** Directory that holds `.swarm/`. */
  readonly root: string
  readonly cwd: string
  readonly argv: readonly string[]
  /** Variables that may decide what a request does. */
  readonly env: Readonly<Record<string, string>>
  /** Makes the request's write the same one, should the client send it again by itself. */
  readonly key: string
}

/** What is to be printed and the exit code; or that the client's own process must do it. */
export type Answer = { readonly text: string; readonly code: number } | { readonly full: true }

/** Variables of a client that are its own. */
export const OWN = [
  'SWARM_TOKEN',
  'SWARM_AGENT_ID',
  'SWARM_REPO',
  'SWARM_FENCE',
  'SWARM_BEAD_ID',
  'SWARM_HOLDER',
  'SWARM_ROOT',
]

/** Others that decide what a request does: they must be the same in both processes. */
export function isShared(name: string): boolean {
  return !OWN.includes(name) && /^(?:SWARM_|PG|XDG_|DATABASE_URL$|HOME$|TMPDIR$)/.test(name)
}

/** Where the full program finds the key that a request was sent under before. */
export const KEY = Symbol.for('swarm.operation-key')

/** How often the resident says that it still works, in ms. */
export const BEAT_MS = 1_000
