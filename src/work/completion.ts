import type { JsonObject } from '../contract/json.ts'
import type { HeldWork } from './held-work.ts'
import type { StageRun } from './stage-runner.ts'

/**
 * What complete-stage is told when swarm has run the stage's command, its gate, or both: the last one decides. The command's
 * output is a log, the gate's is evidence.
 */
export function completionOf(agentId: number, work: HeldWork, ...runs: readonly StageRun[]): JsonObject {
  const deciding = runs.at(-1)
  const logs = runs.filter(({ ran }) => !ran.gate).map(({ evidence }) => stageLog(evidence))
  const evidence = runs.filter(({ ran }) => ran.gate).map((run) => run.evidence)
  return {
    agent_id: agentId,
    bead_id: work.bead.bead_id,
    fence: work.fence,
    stage: work.stage,
    outcome: deciding?.ran.outcome ?? 'error',
    feedback: deciding?.feedback,
    ...(logs.length > 0 ? { artifacts: logs } : {}),
    ...(evidence.length > 0 ? { evidence } : {}),
  }
}

function stageLog({ output, ...metadata }: StageRun['evidence']): JsonObject {
  return { artifact_type: 'stage_log', content: output, metadata }
}
