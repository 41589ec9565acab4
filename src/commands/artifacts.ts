import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { artifactType, beadId, stageName } from '../contract/fields.ts'
import { artifactRow } from '../contract/rows.ts'
import { full, limit, more, readPage, stream } from '../runtime/page.ts'

const artifact = artifactRow.extend({
  agent_id: z.int(),
  at: z.string(),
  content_hash: z
    .string()
    .optional()
    .describe('SHA-256; this and what follows only with `full` or `artifact_id`'),
  metadata: z.json().optional(),
  content: z.string().optional().describe('left out past a megabyte in one answer: ask by artifact_id'),
})

export default defineCommand({
  name: 'artifacts',
  group: 'look',
  summary: 'what the attempts of a bead left behind: names and sizes, or contents',
  input: z.strictObject({
    bead_id: beadId,
    stage: stageName.optional(),
    artifact_type: artifactType.optional(),
    artifact_id: z.int().min(1).optional().describe('this one, with its content'),
    full: full.describe('with the contents'),
    limit: limit(50),
    after: z.int().min(1).optional().describe('cursor of the last answer'),
    stream,
  }),
  output: z.object({
    artifacts: z.array(artifact),
    more,
    cursor: z.int().optional().describe('give it as `after` next time'),
  }),
  effect: 'read',
  pages: true,
  errors: ['NOTFOUND'],
  positional: ['bead_id'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 1 },
        { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
        { cmd: 'claim-next', agent_id: 1 },
        {
          cmd: 'complete-stage',
          agent_id: 1,
          outcome: 'passed',
          artifacts: [{ artifact_type: 'requirements', content: 'GET /beads answers a list' }],
        },
      ],
      in: { cmd: 'artifacts', bead_id: 'api', full: true },
      out: {
        artifacts: [
          {
            artifact_id: '$int',
            stage: 'contract',
            attempt: 1,
            agent_id: 1,
            artifact_type: 'requirements',
            trust: 'claimed',
            bytes: 25,
            at: '$time',
            content_hash: '$string',
            content: 'GET /beads answers a list',
          },
        ],
        more: false,
      },
    },
  ],
  async run(ctx, input) {
    const { rows, ...page } = await readPage(
      ctx,
      'artifacts_json',
      input,
      (row: z.output<typeof artifact>) => row.artifact_id,
    )
    return { artifacts: rows, ...page }
  },
})
