import * as z from 'zod'
import { eventType } from './fields.ts'

/** Names of targets: each is a part of the name of a cursor. */
export const targetName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, {
  error: 'must be lower-case letters, digits and - and at most 32 of them',
})

/** Only variables that are meant for this may be named: a file of the repository must not send others away. */
const secretVariable = z.string().regex(/^SWARM_NOTIFY_[A-Z0-9_]{1,64}$/, {
  error: 'must be the name of an environment variable that begins with SWARM_NOTIFY_',
})

const common = {
  severity: z
    .enum(['debug', 'info', 'warning', 'error', 'critical'])
    .optional()
    .describe('this one or worse; warning by default'),
  types: z.array(eventType).min(1).max(64).optional().describe('event types; all of them by default'),
  allow_private: z
    .array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]))
    .max(32)
    .optional()
    .describe('private addresses and networks that may be connected to, and by http'),
}

const httpUrl = z.url({ protocol: /^https?$/ }).max(2_000)

const webhook = z.strictObject({
  kind: z.literal('webhook'),
  url: httpUrl,
  secret_env: secretVariable.describe(
    'variable with the signing secret: whsec_ and base64 of 24 to 64 bytes',
  ),
  ...common,
})

const telegram = z.strictObject({
  kind: z.literal('telegram'),
  chat_id: z.union([z.int(), z.string().regex(/^(?:-?\d{1,20}|@\w{1,64})$/)]),
  token_env: secretVariable.describe('variable with the token of the bot'),
  api_url: httpUrl.optional().describe('https://api.telegram.org by default'),
  answers: z.boolean().optional().describe('whether questions are answered there; true by default'),
  user_ids: z
    .array(z.int().min(1))
    .min(1)
    .max(64)
    .optional()
    .describe('who may answer; everybody in the chat by default, nobody in a channel'),
  ...common,
})

/** `[notify.NAME]` of `.swarm/config.toml`: who is told. Secrets come from the environment, by name. */
export const notifySchema = z.record(targetName, z.discriminatedUnion('kind', [webhook, telegram]))

export type WebhookConfig = z.output<typeof webhook>
export type TelegramConfig = z.output<typeof telegram>
export type TargetConfig = WebhookConfig | TelegramConfig
