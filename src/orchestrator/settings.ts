import { availableParallelism } from 'node:os'
import type { AgentSettings } from '../contract/agents-config.ts'
import type { SwarmConfig } from '../contract/config.ts'
import { gateOf } from '../contract/gates.ts'
import { priorityRange, type RuleConfig } from '../contract/rules-config.ts'
import { DEFAULT_RULES, type RoleRule, type Rules, type Translation } from '../core/rules.ts'
import type { BeadTraits } from '../core/snapshot.ts'
import { translationOf } from '../core/translate.ts'
import type { WorkspaceMaker } from '../workspaces/maker.ts'

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

/**
 * The settings of a role's sessions for beads of a rule. Where the rule names another adapter than the role has, how its program is run comes
 * from `[agents.default]` or the first `[agents.*]` that has it; what the role may do stays. An adapter that was asked for goes before both.
 */
function settingsByRule(
  config: SwarmConfig,
  role: string,
  adapter: string | undefined,
  rule: RuleConfig,
): AgentSettings {
  const own = settingsOf(config, role, adapter)
  const wanted = rule.adapter ?? settingsOf(config, role, undefined).adapter
  if (adapter !== undefined && adapter !== wanted) return own
  const model = rule.model === undefined ? {} : { model: rule.model }
  if (own.adapter === wanted) return { ...own, ...model }
  const { default: first, ...others } = config.agents ?? {}
  const entry = [first, ...Object.values(others)].find((one) => one?.adapter === wanted) ?? agentOf(wanted)
  const { permissions: _permissions, system_prompt: _prompt, ...program } = entry
  return {
    ...program,
    ...(own.permissions === undefined ? {} : { permissions: own.permissions }),
    ...(own.system_prompt === undefined ? {} : { system_prompt: own.system_prompt }),
    ...model,
  }
}

/** The labels of the accounts that settings name, in order. */
function accountsOf({ account, accounts }: AgentSettings): readonly string[] {
  const named = Object.keys(accounts ?? {})
  return named.length > 0 ? named : [account ?? 'default']
}

/** Settings and the operator's environment as they are for one account, named `<adapter>/<label>`; the first one by default. */
export function withAccount(
  settings: AgentSettings,
  operatorEnv: Readonly<Record<string, string | undefined>>,
  name?: string,
): { readonly settings: AgentSettings; readonly operatorEnv: Readonly<Record<string, string | undefined>> } {
  const label = name?.slice(name.indexOf('/') + 1) ?? accountsOf(settings)[0] ?? ''
  const own = settings.accounts?.[label]
  if (!own) return { settings, operatorEnv }
  const taken = Object.entries(own.env_from ?? {}).flatMap(([to, from]) => {
    const value = operatorEnv[from]
    return value === undefined ? [] : [[to, value] as const]
  })
  return {
    settings: { ...settings, env: { ...settings.env, ...Object.fromEntries(taken), ...own.env } },
    operatorEnv: own.home === undefined ? operatorEnv : { ...operatorEnv, HOME: own.home },
  }
}

function roleRuleOf(settings: AgentSettings): RoleRule {
  return {
    adapter: settings.adapter,
    accounts: accountsOf(settings),
    ...(settings.model === undefined ? {} : { model: settings.model }),
  }
}

/** The rules for beads as they are decided by, for these roles. */
export function translationsOf(
  config: SwarmConfig,
  roles: readonly string[],
  adapter: string | undefined,
): readonly Translation[] {
  return (config.rules ?? []).map((rule, at) => {
    const { match, name, workflow, role, budget_usd, budget_tokens } = rule
    const range = match.priority === undefined ? undefined : priorityRange(match.priority)
    const runs = rule.adapter !== undefined || rule.model !== undefined
    return {
      number: at + 1,
      ...(name === undefined ? {} : { name }),
      match: {
        ...(match.type === undefined ? {} : { types: [match.type].flat() }),
        ...(match.labels === undefined ? {} : { labels: match.labels }),
        ...(range === undefined ? {} : { priority: range }),
        ...(match.title === undefined ? {} : { title: match.title }),
      },
      ...(workflow === undefined ? {} : { workflow }),
      ...(role === undefined ? {} : { role }),
      ...(runs
        ? {
            roles: Object.fromEntries(
              roles.map((one) => [one, roleRuleOf(settingsByRule(config, one, adapter, rule))]),
            ),
          }
        : {}),
      ...(budget_usd === undefined ? {} : { budget_usd }),
      ...(budget_tokens === undefined ? {} : { budget_tokens }),
    }
  })
}

/** The settings of a session: those of its role, or what the rule for its bead makes of them. */
export function sessionSettings(
  config: SwarmConfig,
  role: string,
  adapter: string | undefined,
  bead: BeadTraits,
): AgentSettings {
  const found = translationOf(bead, translationsOf(config, [], adapter))
  const rule = found && config.rules?.[found.number - 1]
  return rule ? settingsByRule(config, role, adapter, rule) : settingsOf(config, role, adapter)
}

/** All settings that sessions of these roles may have on this host. */
export function allSettings(
  config: SwarmConfig,
  roles: readonly string[],
  adapter: string | undefined,
): readonly AgentSettings[] {
  return roles.flatMap((role) => [
    settingsOf(config, role, adapter),
    ...(config.rules ?? []).map((rule) => settingsByRule(config, role, adapter, rule)),
  ])
}

/** The rules of a run, from the configuration and what `up` was told. */
export function rulesOf(
  config: SwarmConfig,
  agents: Readonly<Record<string, number>>,
  adapter: string | undefined,
): Rules {
  const own = config.orchestrator ?? {}
  const roles = Object.keys(agents)
  return {
    ...DEFAULT_RULES,
    roles: Object.fromEntries(roles.map((role) => [role, roleRuleOf(settingsOf(config, role, adapter))])),
    ...(config.rules ? { translations: translationsOf(config, roles, adapter) } : {}),
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
  /** Patterns of the files that it is made of; undefined: those that its words name. */
  readonly files?: readonly string[]
}

const DEFAULT_GATE_MS = 600_000

/** The gate of a stage with the time it may take; undefined when the configuration has none. */
export function gateSettings(config: SwarmConfig, workflow: string, stage: string): GateSettings | undefined {
  const argv = gateOf(config, workflow, stage)
  if (!argv) return undefined
  const own = config.workflows?.[workflow]?.stages.find(({ name }) => name === stage)
  return {
    stage,
    argv,
    timeoutMs: own?.timeout_ms ?? DEFAULT_GATE_MS,
    ...(own?.gate_files === undefined ? {} : { files: own.gate_files }),
  }
}

/** What a tree must pass before it lands: the gate of the stage `land`, else the gates of all stages, in order. */
export function landingGates(config: SwarmConfig, workflow: string): readonly GateSettings[] {
  const own = gateSettings(config, workflow, 'land')
  if (own) return [own]
  const stages = config.workflows?.[workflow]?.stages ?? []
  return stages.flatMap(({ name }) => gateSettings(config, workflow, name) ?? [])
}

const DEFAULT_MAKER_MS = 120_000

/** What makes workspaces instead of `git worktree`; undefined where git does. `path`: the operator's. */
export function makerOf({ orchestrator }: SwarmConfig, path: string): WorkspaceMaker | undefined {
  const command = orchestrator?.workspace_command
  if (!command) return undefined
  const [create = '', ...args] = command.create
  const [remove, ...rest] = command.remove ?? []
  return {
    create: [create, ...args],
    remove: remove === undefined ? undefined : [remove, ...rest],
    timeoutMs: command.timeout_ms ?? DEFAULT_MAKER_MS,
    path,
  }
}
