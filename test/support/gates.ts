import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type postgres from 'postgres'
import { gateHash, gateName } from '../../src/contract/gates.ts'

/** The stages of the built-in workflow, as a configuration says them. */
const DEFAULT_STAGES = [
  { name: 'contract', roles: ['planner', 'test_writer'] },
  { name: 'implement', roles: ['implementer'] },
  { name: 'qa', roles: ['reviewer'], on_fail: 'implement' },
  { name: 'red-queen', roles: ['reviewer'], on_fail: 'implement' },
]

/** Writes the configuration of a root whose default workflow has these gates. */
export function writeGates(
  root: string,
  gates: Readonly<Record<string, readonly string[]>>,
  head = '',
): void {
  const stages = DEFAULT_STAGES.map(({ name, roles, on_fail }) => {
    const gate = gates[name]
    const parts = [
      `name = ${JSON.stringify(name)}`,
      `roles = ${JSON.stringify(roles)}`,
      ...(gate ? [`gate = ${JSON.stringify(gate)}`] : []),
      ...(on_fail ? [`on_fail = ${JSON.stringify(on_fail)}`] : []),
    ]
    return `  { ${parts.join(', ')} },`
  })
  mkdirSync(join(root, '.swarm'), { recursive: true })
  const lines = [head, '[workflows.default]', 'stages = [', ...stages, ']', '']
  writeFileSync(join(root, '.swarm', 'config.toml'), lines.join('\n'))
}

/** Gates of the default workflow of a repo, in the root's configuration and in the database alike. */
export function gatesOf(sql: postgres.Sql, root: string) {
  const gates = new Map<string, Record<string, readonly string[]>>()
  return async (repo: string, stage: string, gate: readonly string[]): Promise<void> => {
    const all = { ...gates.get(repo), [stage]: gate }
    gates.set(repo, all)
    writeGates(root, all)
    await storeGate(sql, repo, stage, gate)
  }
}

/** Says in the database alone which gate a stage has; null for none. */
export async function storeGate(
  sql: postgres.Sql,
  repo: string,
  stage: string,
  gate: readonly string[] | null,
): Promise<void> {
  await sql`update swarm.workflow_stages set gate = ${gate && gateName(gate)}, gate_hash = ${gate && gateHash(gate)}
    where repo_id = ${repo} and stage = ${stage}`
}
