import { createHash } from 'node:crypto'
import type { StageConfig, SwarmConfig } from './config.ts'

/** What a database keeps of a gate: enough to know it again, and nothing to run. */
export interface StoredGate {
  /** The last part of the first word, for people. */
  readonly gate: string
  readonly gate_hash: string
}

/** SHA-256, as 64 hex digits, of a gate's words as JSON without blanks. A numbered step of the schema computes the same in SQL. */
export function gateHash(argv: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(argv)).digest('hex')
}

/** What a gate is called: its program without directories. */
export function gateName([program = '']: readonly string[]): string {
  return program.slice(program.lastIndexOf('/') + 1) || program
}

/** The words of the gate that a configuration has for a stage; undefined when it has none. */
export function gateOf(
  config: Pick<SwarmConfig, 'workflows'> | undefined,
  workflow: string,
  stage: string,
): readonly string[] | undefined {
  const { workflows = {} } = config ?? {}
  if (!Object.hasOwn(workflows, workflow)) return undefined
  return workflows[workflow]?.stages.find(({ name }) => name === stage)?.gate
}

/** A stage as the database gets it: with the gate's name and hash in place of its words. */
export type StoredStage = Omit<StageConfig, 'gate' | 'gate_files'> & Partial<StoredGate>

/** The workflows of a configuration as the database gets them. */
export function storedWorkflows(
  workflows: NonNullable<SwarmConfig['workflows']>,
): Record<string, { readonly stages: readonly StoredStage[] }> {
  return Object.fromEntries(
    Object.entries(workflows).map(([name, { stages }]) => [name, { stages: stages.map(storedStage) }]),
  )
}

function storedStage({ gate, gate_files: _files, ...stage }: StageConfig): StoredStage {
  return gate ? { ...stage, gate: gateName(gate), gate_hash: gateHash(gate) } : stage
}
