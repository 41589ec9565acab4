import * as z from 'zod'

/** Fields that every request may carry, whatever its verb (DESIGN section 4). */
export const commonFields = z.strictObject({
  cmd: z.string().min(1).max(64).describe('the verb'),
  rid: z
    .union([z.string().max(256), z.int()])
    .optional()
    .describe('request id, echoed in the envelope'),
  repo: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/, {
      error: 'must be letters, digits and . _ / - and start with a letter or digit',
    })
    .optional()
    .describe('the tenant; the root’s own by default'),
  state: z.boolean().optional().describe('add {total, active} beads to the envelope'),
  database_url: z
    .string()
    .regex(/^postgres(ql)?:\/\/\S+$/, { error: 'must be a postgres:// URL' })
    .optional()
    .describe('use this database for this request'),
  connect_timeout_ms: z.int().min(100).max(30_000).optional().describe('how long connecting may take, in ms'),
})

/** Fields that a write may carry besides. */
export const writeFields = z.strictObject({
  idem: z
    .string()
    .min(1)
    .max(200)
    .regex(/\S/, { error: 'must not be blank' })
    .optional()
    .describe('operation key: sent again, it returns the first reply'),
  dry: z.boolean().optional().describe('change nothing, say what would be done'),
})

export type CommonFields = z.output<typeof commonFields>
export type WriteFields = z.output<typeof writeFields>

/** `seq` 17, `timestamp`…: names that older clients send, with the name they stand for. */
export const EVENT_ALIASES = {
  seq: 'sequence',
  schema_version: 'payload_version',
  created_at: 'timestamp',
} as const
