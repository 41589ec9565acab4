import { z } from 'zod'
import { type AnyCommand, defineCommand } from '../../src/contract/command.ts'
import { SwarmError } from '../../src/contract/errors.ts'
import {
  agentId,
  artifactType,
  beadId,
  fence,
  LIMITS,
  labels,
  leaseMs,
  metadata,
  OUTCOMES,
  priority,
  text,
  timestamp,
  waitMs,
} from '../../src/contract/fields.ts'
import type { JsonObject } from '../../src/contract/json.ts'
import type { Defaults } from '../../src/contract/try-parse.ts'
import { unknownVerb } from '../../src/repair/unknown-verb.ts'
import { parseRequest } from '../../src/runtime/parse.ts'

const run = async () => ({})
const output = z.object({})

/** Small definitions that have every kind of field; the real verbs may change without these tests. */
export const enqueue = defineCommand({
  name: 'enqueue',
  group: 'loop',
  summary: 'add',
  effect: 'write',
  errors: [],
  examples: [],
  output,
  run,
  input: z.strictObject({
    beads: z
      .array(
        z.strictObject({
          bead_id: beadId.optional(),
          title: text(LIMITS.title),
          description: z.string().max(LIMITS.description).optional(),
          priority: priority.optional(),
          labels: labels.optional(),
          bead_type: text(64).optional(),
          depends_on: z.array(beadId).optional(),
          metadata: metadata.optional(),
        }),
      )
      .min(1),
  }),
})

export const claim = defineCommand({
  name: 'claim-next',
  group: 'loop',
  summary: 'claim',
  effect: 'write',
  errors: [],
  examples: [],
  output,
  run,
  input: z.strictObject({
    agent_id: agentId,
    labels: labels.optional(),
    lease_ms: leaseMs.optional(),
    wait_ms: waitMs.optional(),
    require: z.boolean().optional(),
  }),
})

export const complete = defineCommand({
  name: 'complete-stage',
  group: 'loop',
  summary: 'complete',
  effect: 'write',
  errors: [],
  examples: [],
  output,
  run,
  input: z
    .strictObject({
      agent_id: agentId,
      outcome: z.enum(OUTCOMES),
      bead_id: beadId.optional(),
      fence: fence.optional(),
      feedback: text(LIMITS.feedback).optional(),
      artifacts: z
        .array(z.strictObject({ artifact_type: artifactType, content: z.string().max(LIMITS.content) }))
        .optional(),
    })
    .refine((input) => input.outcome === 'passed' || input.feedback !== undefined, {
      path: ['feedback'],
      error: 'is required unless the outcome is passed',
    }),
})

export const lock = defineCommand({
  name: 'lock',
  group: 'loop',
  summary: 'lock',
  effect: 'write',
  errors: [],
  examples: [],
  output,
  run,
  fieldAliases: { agent_id: 'agent' },
  input: z.strictObject({
    resource: text(500),
    agent: z.union([agentId, text(64)]),
    ttl_ms: z.int().min(1).max(86_400_000).optional(),
  }),
})

export const events = defineCommand({
  name: 'events',
  group: 'loop',
  summary: 'events',
  effect: 'read',
  errors: [],
  examples: [],
  output,
  run,
  input: z.strictObject({
    after: z
      .union([z.int().min(0), z.string().regex(/^[0-9a-z]+:\d+$/, { error: 'must be <log_id>:<seq>' })])
      .optional(),
    limit: z.int().min(1).max(10_000).optional(),
    agent_id: agentId.optional(),
    since: timestamp.optional(),
  }),
})

export const batch = defineCommand({
  name: 'batch',
  aliases: ['bulk'],
  group: 'other',
  summary: 'batch',
  effect: 'write',
  errors: [],
  examples: [],
  output,
  run,
  input: z.strictObject({
    ops: z.array(z.looseObject({ cmd: z.string() })).min(1),
    atomic: z.boolean().default(true),
  }),
})

export const send = defineCommand({
  name: 'send',
  group: 'loop',
  summary: 'send',
  effect: 'write',
  errors: [],
  examples: [],
  output,
  run,
  input: z.strictObject({
    agent_id: agentId,
    to: z.union([agentId, text(64), z.array(z.union([agentId, text(64)])).min(1)]),
    body: text(LIMITS.body),
    metadata: metadata.optional(),
  }),
})

export const COMMANDS: readonly AnyCommand[] = [enqueue, claim, complete, lock, events, batch, send]
export const VERBS = COMMANDS.map(({ name, aliases = [] }) => ({ name, aliases }))

export function load(verb: string): Promise<AnyCommand> | undefined {
  const command = COMMANDS.find(({ name, aliases = [] }) => name === verb || aliases.includes(verb))
  return command && Promise.resolve(command)
}

/** Parses a request as the dispatcher does; answers the input or the error. */
export async function attempt(raw: JsonObject, defaults: Defaults = {}): Promise<unknown> {
  const command = typeof raw.cmd === 'string' ? await load(raw.cmd) : undefined
  try {
    if (!command) throw await unknownVerb(raw, VERBS, load, defaults)
    const { input } = await parseRequest(command, raw, defaults)
    return input
  } catch (error) {
    return error
  }
}

/** The refusal of a request; fails when it is accepted. */
export async function refusal(raw: JsonObject, defaults: Defaults = {}): Promise<SwarmError> {
  const outcome = await attempt(raw, defaults)
  if (outcome instanceof SwarmError) return outcome
  throw new Error(`accepted: ${JSON.stringify(outcome)}`)
}
