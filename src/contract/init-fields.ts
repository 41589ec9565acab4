import * as z from 'zod'

/** What `init-db` answers. */
export const initDbOutput = z.object({
  repo: z.string(),
  schema: z.enum(['created', 'upgraded', 'kept']),
  schema_version: z.int(),
  workflows: z
    .object({
      added: z.array(z.string()),
      updated: z.array(z.string()),
      unchanged: z.array(z.string()),
      differ: z
        .array(z.string())
        .optional()
        .describe(
          'those that the repo’s owner has otherwise: they stay, and gates that differ are not run here',
        ),
      owner: z.string().optional().describe('the directory whose workflows count'),
    })
    .describe('those of the configuration'),
  changed: z.boolean(),
})
export type InitDbOutput = z.output<typeof initDbOutput>

/** A repo belongs to the directory that made it; another one shares it only when it says so. */
export const join = z
  .boolean()
  .optional()
  .describe('share the backlog of a repo of this name that another directory has made')
