import * as z from 'zod'
import type { BacklogFile, Problem } from '../backlog/read-file.ts'
import { BACKLOG_FORMATS } from '../backlog/types.ts'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { text } from '../contract/fields.ts'
import { writePart } from '../runtime/part-write.ts'

/** Problems beyond these are counted, not listed. */
const LISTED = 50

const input = z.strictObject({
  path: text(4_096).describe('a file of JSON lines'),
  format: z
    .enum(BACKLOG_FORMATS)
    .optional()
    .describe('the beads tracker’s, or what export writes; found out when absent'),
  strict: z.boolean().optional().describe('import nothing when anything is wrong'),
  reopen: z.boolean().optional().describe('make finished beads pending, to run a backlog again'),
})
type Input = z.output<typeof input>

const problem = z.object({ line: z.int(), kind: z.string(), msg: z.string() })

interface Imported {
  readonly added: number
  readonly updated: number
  readonly unchanged: number
  readonly reopened: number
  readonly links: number
  readonly problems: readonly Problem[]
}

export default defineCommand({
  name: 'import',
  group: 'set up',
  summary: 'read a backlog from a file; again, it brings descriptions up to date and leaves progress alone',
  input,
  output: z.object({
    format: z.enum(BACKLOG_FORMATS),
    lines: z.int(),
    added: z.int(),
    updated: z.int(),
    unchanged: z.int(),
    reopened: z.int(),
    links: z.int().describe('links that are new'),
    skipped: z.int().describe('lines that were left out'),
    problems: z.array(problem),
    more_problems: z.int().optional().describe('how many are not listed'),
  }),
  effect: 'write',
  alone: true,
  errors: [],
  positional: ['path'],
  examples: [],
  async run(ctx, input) {
    const file = await read(ctx, input)
    if (input.strict && file.problems.length > 0) throw nothingImported(file.problems)
    const { beads, links, format, lines } = file
    const { strict, reopen } = input
    const args = { beads, links, ...(strict ? { strict } : {}), ...(reopen ? { reopen } : {}) }
    const d = await writePart<Imported>(ctx, 'import', args, { cmd: 'import', ...given(input) })
    const problems = [...file.problems, ...d.problems].sort((a, b) => a.line - b.line)
    const { problems: _, ...counts } = d
    return {
      format,
      lines,
      ...counts,
      skipped: file.problems.length,
      problems: problems.slice(0, LISTED),
      ...(problems.length > LISTED ? { more_problems: problems.length - LISTED } : {}),
    }
  },
  async dry(ctx, input) {
    const { beads, links, problems } = await read(ctx, input)
    return [
      `add ${beads.length} beads, or bring them up to date, with ${links.length} links`,
      ...problems.slice(0, LISTED).map(({ line, msg }) => `leave out line ${line}: ${msg}`),
    ]
  },
})

/** Loaded here: reading files is nothing that the start of another verb should pay for. */
async function read(ctx: CommandContext, input: Input): Promise<BacklogFile> {
  const { backlogPath, readBacklog } = await import('../backlog/read-file.ts')
  const file = backlogPath(ctx, input.path, given(input))
  return readBacklog(file, { format: input.format, reopen: input.reopen ?? false })
}

function given({ path, format, strict, reopen }: Input) {
  return {
    path,
    ...(format ? { format } : {}),
    ...(strict ? { strict } : {}),
    ...(reopen ? { reopen } : {}),
  }
}

function nothingImported(problems: readonly Problem[]): SwarmError {
  const [first] = problems
  return new SwarmError(
    'INVALID',
    `nothing was imported: ${problems.length} problems, the first on line ${first?.line}: ${first?.msg}`,
    { ctx: { problems: problems.slice(0, LISTED).map((one) => ({ ...one })) } },
  )
}
