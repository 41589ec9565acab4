import * as z from 'zod'
import { BACKLOG_FORMATS, type BacklogFormat, type ExportRow } from '../backlog/types.ts'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { text } from '../contract/fields.ts'
import type { JsonObject } from '../contract/json.ts'
import { stream } from '../runtime/page.ts'
import { readFunction } from '../runtime/read.ts'

const PAGE = 500

const input = z.strictObject({
  path: text(4_096).optional().describe('a file to write; absent, the lines come in the answer'),
  format: z
    .enum(BACKLOG_FORMATS)
    .optional()
    .describe('beads, the tracker’s, by default; swarm keeps every status'),
  force: z.boolean().optional().describe('write over a file that is there'),
  after: z.int().min(0).optional().describe('the cursor of the last answer; for lines in the answer'),
  limit: z.int().min(1).max(1_000).optional().describe('lines in the answer; 100 by default'),
  stream,
})
type Input = z.output<typeof input>

interface Page {
  /** The row id that this page ends with. */
  readonly last: number
  readonly more: boolean
  readonly rows: readonly ExportRow[]
}

export default defineCommand({
  name: 'export',
  group: 'set up',
  summary: 'write the backlog as JSON lines, as import reads them',
  input,
  output: z.object({
    format: z.enum(BACKLOG_FORMATS),
    beads: z.int().describe('how many'),
    path: z.string().optional(),
    rows: z.array(z.looseObject({})).optional().describe('the lines, as they would stand in a file'),
    more: z.boolean().optional().describe('true when the limit cut the answer'),
    cursor: z.int().optional().describe('where the next page begins: give it as after'),
  }),
  effect: 'local',
  pages: true,
  needs: 'database',
  errors: ['EXISTS'],
  positional: ['path'],
  examples: [
    {
      given: [
        {
          cmd: 'enqueue',
          beads: [
            { bead_id: 'api', title: 'Write the API', priority: 'p1' },
            { bead_id: 'docs', title: 'Document the API', depends_on: ['api'] },
          ],
        },
      ],
      in: { cmd: 'export' },
      out: {
        format: 'beads',
        beads: 2,
        rows: [
          { id: 'api', title: 'Write the API', status: 'open', priority: 1, issue_type: 'task' },
          {
            id: 'docs',
            title: 'Document the API',
            status: 'open',
            priority: 2,
            dependencies: [{ issue_id: 'docs', depends_on_id: 'api', type: 'blocks' }],
          },
        ],
        more: false,
      },
    },
  ],
  async run(ctx, input) {
    const { FORMATS } = await import('../backlog/read-file.ts')
    const { path, format = 'beads', after = 0, limit = 100 } = input
    if (path !== undefined) return { format, ...(await writeFile(ctx, path, format, input)) }
    const { rows, last, more } = await readPage(ctx, after, limit)
    const lines = rows.map((row) => FORMATS[format].write(row))
    return { format, beads: lines.length, rows: lines, more, ...(more ? { cursor: last } : {}) }
  },
  dry: async (_ctx, input) => [input.path ? `write ${input.path}` : 'read the backlog'],
})

function readPage(ctx: CommandContext, after: number, limit: number): Promise<Page> {
  return readFunction<Page>(ctx, 'export_beads', ctx.repo, after, limit)
}

/** Writes beside the file and puts it in place whole, so that a half-written one is never read. */
async function writeFile(
  ctx: CommandContext,
  path: string,
  format: BacklogFormat,
  input: Input,
): Promise<{ beads: number; path: string }> {
  const [
    { createWriteStream, existsSync, rmSync },
    { resolve },
    { writeLines },
    { FORMATS },
    { draftBeside, place },
  ] = await Promise.all([
    import('node:fs'),
    import('node:path'),
    import('../ndjson.ts'),
    import('../backlog/read-file.ts'),
    import('../root/new-file.ts'),
  ])
  const file = resolve(ctx.cwd, path)
  if (existsSync(file) && !input.force) {
    throw taken(path)
  }
  const draft = draftBeside(file)
  let beads = 0
  async function* lines(): AsyncGenerator<JsonObject> {
    for (let after = 0; ; ) {
      const { last, rows, more } = await readPage(ctx, after, PAGE)
      for (const row of rows) yield FORMATS[format].write(row)
      beads += rows.length
      if (!more) return
      after = last
    }
  }
  try {
    const out = createWriteStream(draft, { flags: 'wx' })
    await writeLines(out, lines())
    await new Promise<void>((resolve, reject) => {
      out.once('error', reject)
      out.end(resolve)
    })
    place(draft, file, input.force ?? false)
  } catch (error) {
    rmSync(draft, { force: true })
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') throw taken(path)
    throw unwritable(error, path)
  }
  return { beads, path: file }
}

function taken(path: string): SwarmError {
  return new SwarmError('EXISTS', `there is a file ${path} already`, { ctx: { field: 'path', got: path } })
}

function unwritable(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !('syscall' in error)) return error
  return new SwarmError('INVALID', `${path} cannot be written: ${error.message}`, {
    ctx: { kind: 'InvalidValue', field: 'path', expected: 'a file that can be written', got: path },
    needs: ['path'],
    cause: error,
  })
}
