import { availableParallelism } from 'node:os'
import type { AgentSettings } from '../contract/agents-config.ts'
import type { SwarmConfig } from '../contract/config.ts'
import { gateOf } from '../contract/gates.ts'
import { DEFAULT_RULES, type RoleRule, type Rules } from '../core/rules.ts'

/** The settings of a role's sessions: its own, else those of `default`, else the adapter that was asked for. */
export function settingsOf(config: SwarmConfig, role: string, adapter: string | undefined): AgentSettings {
  const own = config.agents?.[role] ?? config.agents?.default
  if (adapter !== undefined && own?.adapter !== adapter) return agentOf(adapter)
  return own ?? agentOf('demo')
}

function agentOf(adapter: string): AgentSettings {
  // the caller has checked the name against the list of adapters
  return { adapter: adapter as AgentSettings['adapter'] }
}

/** The rules of a run, from the configuration and what `up` was told. */
export function rulesOf(
  config: SwarmConfig,
  agents: Readonly<Record<string, number>>,
  adapter: string | undefined,
): Rules {
  const own = config.orchestrator ?? {}
  const rule = (role: string): RoleRule => {
    const settings = settingsOf(config, role, adapter)
    return {
      adapter: settings.adapter,
      accounts: [settings.account ?? 'default'],
      ...(settings.model === undefined ? {} : { model: settings.model }),
    }
  }
  return {
    ...DEFAULT_RULES,
    roles: Object.fromEntries(Object.keys(agents).map((role) => [role, rule(role)])),
    limits: { ...own.limits, role: { ...agents, ...own.limits?.role } },
    budgets: own.budgets ?? {},
    spawn_per_tick: own.spawn_per_tick ?? DEFAULT_RULES.spawn_per_tick,
    failures_per_bead: own.attempts_per_bead ?? DEFAULT_RULES.failures_per_bead,
    min_free_disk_mb: own.min_free_disk_mb ?? DEFAULT_RULES.min_free_disk_mb,
  }
}

/** Sessions at once on a host that was not told: as many as the agents of the run. */
export function capacityOf(agents: Readonly<Record<string, number>>): Record<string, number> {
  return Object.keys(agents).length > 0 ? { ...agents } : { '*': availableParallelism() }
}

/** The gate of a stage as the trusted configuration says it; undefined when it has none. */
export interface GateSettings {
  readonly stage: string
  readonly argv: readonly string[]
  readonly timeoutMs: number
}

const DEFAULT_GATE_MS = 600_000

/** The gate of a stage with the time it may take; undefined when the configuration has none. */
export function gateSettings(config: SwarmConfig, workflow: string, stage: string): GateSettings | undefined {
  const argv = gateOf(config, workflow, stage)
  if (!argv) return undefined
  const timeoutMs = config.workflows?.[workflow]?.stages.find(({ name }) => name === stage)?.timeout_ms
  return { stage, argv, timeoutMs: timeoutMs ?? DEFAULT_GATE_MS }
}

/** What a tree must pass before it lands: the gate of the stage `land`, else the gates of all stages, in order. */
export function landingGates(config: SwarmConfig, workflow: string): readonly GateSettings[] {
  const own = gateSettings(config, workflow, 'land')
  if (own) return [own]
  const stages = config.workflows?.[workflow]?.stages ?? []
  return stages.flatMap(({ name }) => gateSettings(config, workflow, name) ?? [])
}
