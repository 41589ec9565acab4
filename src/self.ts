import { existsSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'

/** Start of the first argument of every process that swarm starts itself as; no verb begins so. */
const PREFIX = 'self:'

/** What swarm starts itself as, besides what people and agents ask for. Each takes one further argument. */
export const SELF = {
  /** Watches over an embedded server: the path of its `.swarm/`. */
  keeper: `${PREFIX}keeper`,
  /** The program of the adapter `demo`: its script as JSON. */
  demoSession: `${PREFIX}demo-session`,
} as const

export type SelfMode = (typeof SELF)[keyof typeof SELF]

/** The mode that a first argument names; null for what others send. */
export function selfMode(argument: string): SelfMode | null {
  return Object.values(SELF).find((mode) => mode === argument) ?? null
}

/**
 * The launcher beside the bundle; null when there is none: this file or `argv[1]` may be part of anybody's program, which would be
 * started again and again.
 */
export function ownLauncher(): string | null {
  const file = join(dirname(__filename), '..', 'bin', 'swarm')
  return extname(__filename) === '.ts' || !existsSync(file) ? null : file
}
