import type { CommandContext } from '../contract/command.ts'
import type { Holding, Holdings } from '../contract/context.ts'

/** The claims of one process on one database. An agent holds at most one bead. */
export function createHoldings(): Holdings {
  const held = new Map<string, Holding>()
  const keyOf = (repo: string, agentId: number) => `${agentId} ${repo}`
  return {
    get: (repo, agentId) => held.get(keyOf(repo, agentId)),
    set: (holding) => void held.set(keyOf(holding.repo, holding.agent_id), holding),
    delete: (repo, agentId) => void held.delete(keyOf(repo, agentId)),
    list: () => [...held.values()],
  }
}

/** Whether both are one claim. A fence is a number of its bead: two beads may well have the same. */
export function isSameClaim(
  one: Pick<Holding, 'bead_id' | 'fence'> | undefined,
  other: Pick<Holding, 'bead_id' | 'fence'>,
): boolean {
  return one?.bead_id === other.bead_id && one.fence === other.fence
}

/** Holdings of a transaction: changes stay here until `commit`, so that a rollback leaves the process's own untouched. */
export function overlayHoldings(base: Holdings): Holdings & { commit(): void } {
  const changes: (() => void)[] = []
  const own = createHoldings()
  for (const holding of base.list()) own.set(holding)
  return {
    get: own.get,
    list: own.list,
    set(holding) {
      own.set(holding)
      changes.push(() => base.set(holding))
    },
    delete(repo, agentId) {
      own.delete(repo, agentId)
      changes.push(() => base.delete(repo, agentId))
    },
    commit() {
      for (const change of changes.splice(0)) change()
    },
  }
}

/** A claim as far as a write needs it. */
export type Claim = Pick<Holding, 'bead_id' | 'fence'>

/**
 * The claim that this process acts under for an agent: the last one it made itself, else the one under which `swarm` runs it as a
 * command (`SWARM_AGENT_ID`, `SWARM_BEAD_ID`, `SWARM_FENCE`).
 */
export function ownClaim(
  { env, holdings, repo }: Pick<CommandContext, 'env' | 'holdings' | 'repo'>,
  agentId: number,
): Claim | undefined {
  const held = holdings.get(repo, agentId)
  if (held) return held
  const { SWARM_AGENT_ID, SWARM_BEAD_ID, SWARM_FENCE, SWARM_REPO } = env
  if (SWARM_AGENT_ID !== String(agentId) || SWARM_REPO !== repo || !SWARM_BEAD_ID) return undefined
  return /^[1-9]\d{0,15}$/.test(SWARM_FENCE ?? '')
    ? { bead_id: SWARM_BEAD_ID, fence: Number(SWARM_FENCE) }
    : undefined
}
