import type { AnyCommand } from './command.ts'
import type { CommonFields } from './common.ts'
import { SwarmError } from './errors.ts'
import type { Json, JsonObject } from './json.ts'
import { type Need, type Principal, type Reach, ROLES } from './roles.ts'

/** The role that a verb needs. One that says nothing needs `observer` when it reads, else `operator`. */
export function needOf(command: AnyCommand, input: Readonly<Record<string, unknown>>): Need {
  const { role, effect, needs = 'database' } = command
  if (role !== undefined) return typeof role === 'function' ? role(input) : role
  if (effect !== 'read') return 'operator'
  return needs === 'nothing' ? 'anyone' : 'observer'
}

/** What a request of a verb acts on. */
export function reachOf(command: AnyCommand, input: Readonly<Record<string, unknown>>): Reach {
  return command.reach?.(input) ?? ((command.needs ?? 'database') === 'database' ? 'repo' : 'machine')
}

/** Fields that say who speaks, wherever a verb has one and does not say that it only selects. */
const SPEAKERS = ['agent_id', 'agent', 'for_agent']

/**
 * Refuses what a token does not allow; undefined when the request may run. The one table of rules for every way in: who may send a verb, and
 * that what a request says of its repo and its sender is what the token says.
 */
export function may(
  principal: Principal,
  command: AnyCommand,
  input: Readonly<Record<string, unknown>>,
  common: Pick<CommonFields, 'repo' | 'database_url'>,
): SwarmError | undefined {
  const need = needOf(command, input)
  if (need === 'anyone') return undefined
  const { role, repo, agent_id } = principal
  if (ROLES.indexOf(role) < ROLES.indexOf(need)) {
    return new SwarmError(
      'UNAUTHORIZED',
      `${command.name} needs a token of the role ${need}, this one is ${role}`,
      {
        ctx: { cmd: command.name, role, required: need },
      },
    )
  }
  if (role === 'operator') return undefined
  if (reachOf(command, input) === 'database') return foreign('repo', repo, 'all of the database')
  if (common.database_url !== undefined) return foreign('database_url', 'the database of the token', '***')
  if (common.repo !== undefined && common.repo !== repo) return foreign('repo', repo, common.repo)
  const repos: readonly unknown[] = Array.isArray(input.repos) ? input.repos : []
  const other = repos.find((one) => one !== repo)
  if (other !== undefined) return foreign('repos', repo, String(other))
  return agent_id === undefined ? undefined : foreignSpeaker(agent_id, command, input)
}

function foreignSpeaker(
  agentId: number,
  command: AnyCommand,
  input: Readonly<Record<string, unknown>>,
): SwarmError | undefined {
  const { shape } = command.input
  for (const field of command.speakers ?? SPEAKERS) {
    const said = input[field]
    if (said === undefined || String(said) === String(agentId)) continue
    return foreign(field, agentId, typeof said === 'number' ? said : String(said))
  }
  // a cursor is whoever's name it bears: another reader of it would lose what this one acks
  const { cursor } = input
  if (typeof cursor !== 'string' || !Object.hasOwn(shape, 'cursor')) return undefined
  const own = `agent-${agentId}`
  if (cursor === own || cursor.startsWith(`${own}.`)) return undefined
  return foreign('cursor', `${own} or ${own}.<name>`, cursor)
}

function foreign(field: string, expected: Json, got: Json): SwarmError {
  const ctx: JsonObject = { kind: 'InvalidValue', field, expected, got }
  return new SwarmError('UNAUTHORIZED', `${field} is not that of the token`, { ctx })
}
