import * as z from 'zod'
import { role, text } from './fields.ts'

export const ADAPTERS = [
  'claude',
  'codex',
  'codex-exec',
  'opencode',
  'opencode-run',
  'acp',
  'command',
  'demo',
] as const

/** Set by swarm for every session, so that nothing of one session is found by another. */
const OWN_VARIABLES = ['HOME', 'TMPDIR', 'PWD', 'SWARM_SESSION_MARKER']
/** What opens the database stays with swarm. */
const DATABASE_VARIABLES = [
  'DATABASE_URL',
  'SWARM_DATABASE_URL',
  'SWARM_LISTEN_URL',
  'PGPASSWORD',
  'PGPASSFILE',
]
const KEPT = new Set([...OWN_VARIABLES, ...DATABASE_VARIABLES])

const variable = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, { error: 'must be the name of an environment variable' })
  .refine((name) => !KEPT.has(name), { error: `must not be one of ${[...KEPT].join(', ')}` })

const toolPattern = text(200).describe('name of a tool; * stands for any letters')

const permissions = z
  .strictObject({
    mode: z
      .enum(['allow', 'ask', 'deny'])
      .optional()
      .describe('what happens to a tool that no list names: allow (by default), ask a human, deny'),
    allow: z.array(toolPattern).max(200).optional().describe('tools that are always allowed'),
    deny: z.array(toolPattern).max(200).optional().describe('tools that are never allowed; before allow'),
  })
  .describe('what the agent may do without asking')

/** One of several accounts of a role: what its sessions have besides. */
const account = z.strictObject({
  env: z.record(variable, z.string().max(32_768)).optional().describe('variables with their values'),
  env_from: z
    .record(variable, variable)
    .optional()
    .describe('variables that are taken from swarm’s own environment under another name there'),
  home: text(4_096)
    .optional()
    .describe('the directory whose login files it uses, instead of the operator’s HOME'),
})

/** How sessions of one role are run. All keys are active: they decide what is run, and do nothing until trusted. */
export const agentSchema = z.strictObject({
  adapter: z.enum(ADAPTERS).describe('which program, or how it is talked to'),
  command: z
    .array(z.string().min(1).max(4_096))
    .min(1)
    .max(64)
    .optional()
    .describe('program and first arguments; the adapter’s own program by default'),
  model: text(200).optional().describe('as the program names it; its own choice by default'),
  system_prompt: text(100_000).optional().describe('added to the program’s own instructions'),
  args: z.array(z.string().max(8_192)).max(100).optional().describe('arguments added at the end'),
  env: z.record(variable, z.string().max(32_768)).optional().describe('variables with their values'),
  pass_env: z
    .array(variable)
    .max(100)
    .optional()
    .describe('names of variables that are taken from swarm’s own environment, like ANTHROPIC_API_KEY'),
  account: text(64).optional().describe('label of the account whose quota is used; default by default'),
  accounts: z
    .record(text(64), account)
    .refine((all) => Object.keys(all).length <= 20, { error: 'must be at most 20' })
    .optional()
    .describe(
      'several accounts by their labels, in the order in which they are used: work moves to one that has quota',
    ),
  login: z
    .enum(['link', 'none'])
    .optional()
    .describe(
      'link: the operator’s login files stand in the session’s HOME (by default); none: only variables',
    ),
  protocol: z
    .enum(['lines', 'text'])
    .optional()
    .describe('of adapter command: JSON lines (by default), or plain text whose exit code is all that tells'),
  permissions: permissions.optional(),
})

/** `[agents.<role>]` of `.swarm/config.toml`; the role `default` is for those that are not named. */
export const agentsConfigSchema = z.record(role, agentSchema)

export type AgentSettings = z.output<typeof agentSchema>
export type AgentAccount = z.output<typeof account>
export type AgentPermissions = z.output<typeof permissions>
export type AgentsConfig = z.output<typeof agentsConfigSchema>
export type AdapterName = AgentSettings['adapter']
