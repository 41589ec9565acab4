import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { gateHash, gateOf } from '../contract/gates.ts'

/**
 * Refuses gates that are not those which `init-db` has entered: the database takes a stage as passed only by the gate that it knows, so
 * that every session would fail at its end. INVALID with the stage and `init-db` as `fix`, before any agent is started.
 */
export async function checkGates(ctx: CommandContext): Promise<void> {
  const config = ctx.root?.config ?? {}
  const rows = await ctx.db.read<{ name: string; stage: string; gate_hash: string | null }>(
    'select name, stage, gate_hash from swarm.workflow_stages where repo_id = $1 order by name, position',
    [ctx.repo],
  )
  for (const { name, stage, gate_hash } of rows) {
    const gate = gateOf(config, name, stage)
    const here = gate ? gateHash(gate) : null
    if (here === gate_hash) continue
    const how =
      gate_hash === null
        ? 'has a gate in the configuration here, and none in the database'
        : here === null
          ? 'has a gate in the database, and none in the configuration here'
          : 'has another gate in the configuration here than in the database'
    throw new SwarmError(
      'INVALID',
      `stage ${stage} of workflow ${name} ${how}, where it was entered by init-db: nothing could pass`,
      {
        area: 'configuration',
        ctx: { kind: 'InvalidValue', field: 'workflows.stages.gate', workflow: name, stage },
        fix: { cmd: 'init-db' },
      },
    )
  }
}
