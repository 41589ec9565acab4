import type { AnyCommand, Catalog, CommandContext } from '../contract/command.ts'
import type { CommonFields, WriteFields } from '../contract/common.ts'
import type { Rid } from '../contract/envelope.ts'
import { SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'
import type { Defaults } from '../contract/try-parse.ts'
import { parseRequest } from './parse.ts'
import { loadCommand } from './verbs.ts'

/** A parsed request, ready to run. */
export interface Prepared {
  readonly rid: Rid | undefined
  readonly waits: boolean
  readonly appends: boolean
  readonly command: AnyCommand
  readonly common: CommonFields
  readonly write: WriteFields
  readonly input: Record<string, unknown>
}

/** Finds the verb and parses the fields, with what `defaults` fills in; throws INVALID with the repaired request as fix. */
export async function prepare(
  catalog: Catalog,
  raw: JsonObject,
  defaults: (command: AnyCommand) => Defaults | Promise<Defaults>,
): Promise<Prepared> {
  const command = await loadCommand(catalog, raw)
  const { common, write, input } = await parseRequest(command, raw, await defaults(command))
  return {
    command,
    common,
    write,
    input,
    rid: common.rid,
    waits: command.waits?.(input) ?? false,
    // a dry run and a count of beads are reads: they do not travel with appends
    appends: 'append' in command && !write.dry && !common.state,
  }
}

/** One sentence about a request, for a dry run of a verb that has no better one. */
export function describeRequest({ command, input }: Prepared): string {
  const fields = Object.entries(input).filter(([, value]) => value !== undefined)
  return [
    command.name,
    ...fields.map(([name, value]) => `${name}=${JSON.stringify(value)?.slice(0, 80)}`),
  ].join(' ')
}

/** What the parts of a request take over from it. */
export function inherited({ common }: Prepared): JsonObject {
  const { repo, database_url, connect_timeout_ms } = common
  return {
    ...(repo === undefined ? {} : { repo }),
    ...(database_url === undefined ? {} : { database_url }),
    ...(connect_timeout_ms === undefined ? {} : { connect_timeout_ms }),
  }
}

/** `SWARM_AGENT_ID` and `SWARM_REPO` fill what a request leaves out. */
export function defaultsFrom(env: CommandContext['env']): Defaults {
  const text = env.SWARM_AGENT_ID
  if (!text) return {}
  const id = Number(text)
  if (Number.isInteger(id) && id >= 1) return { agent_id: id }
  throw new SwarmError('INVALID', 'SWARM_AGENT_ID must be a whole number from 1', {
    area: 'configuration',
    ctx: { kind: 'InvalidValue', field: 'SWARM_AGENT_ID', expected: 'integer >= 1', got: text.slice(0, 80) },
  })
}
