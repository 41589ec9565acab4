import * as z from 'zod'
import type { Arranged, Part } from '../backlog/arrange.ts'
import type { Renamed } from '../backlog/bead-ids.ts'
import type { BacklogFile, Problem } from '../backlog/read-file.ts'
import { BACKLOG_FORMATS } from '../backlog/types.ts'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { text } from '../contract/fields.ts'
import { writePart } from '../runtime/part-write.ts'

/** Problems beyond these are counted, not listed. */
const LISTED = 50
/** Beads that one transaction imports: others who add beads or links wait for it, for some tenths of a second. */
const PART_BEADS = 1_000
const PROGRESS_EVERY_MS = 1_000

const input = z.strictObject({
  path: text(4_096).describe('a file of JSON lines'),
  format: z
    .enum(BACKLOG_FORMATS)
    .optional()
    .describe('the beads tracker’s, or what export writes; found out when absent'),
  strict: z.boolean().optional().describe('import nothing when anything is wrong'),
  reopen: z.boolean().optional().describe('make finished beads pending, to run a backlog again'),
  progress: z.boolean().optional().describe('a line every second that says how far it is'),
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
    renamed: z
      .array(z.object({ id: z.string(), bead_id: z.string() }))
      .optional()
      .describe('beads whose id no new bead may have: it is kept as metadata.id'),
    more_renamed: z.int().optional().describe('how many are not listed'),
    problems: z.array(problem),
    more_problems: z.int().optional().describe('how many are not listed'),
  }),
  effect: 'write',
  hostBound: true,
  alone: true,
  errors: [],
  positional: ['path'],
  examples: [],
  async run(ctx, input) {
    const file = await read(ctx, input)
    const { renamed } = file
    const { arrange } = await import('../backlog/arrange.ts')
    // in whole or not at all is one transaction
    const arranged = arrange(file, input.strict ? Number.POSITIVE_INFINITY : PART_BEADS)
    const found = [...file.problems, ...arranged.problems].sort((a, b) => a.line - b.line)
    if (input.strict && file.problems.length > 0) throw nothingImported(found)
    const { problems: more, ...counts } = await importParts(ctx, input, arranged)
    const problems = [...found, ...more].sort((a, b) => a.line - b.line)
    return {
      format: file.format,
      lines: file.lines,
      ...counts,
      skipped: file.problems.length,
      ...(renamed.length > 0 ? { renamed: renamed.slice(0, LISTED) } : {}),
      ...(renamed.length > LISTED ? { more_renamed: renamed.length - LISTED } : {}),
      problems: problems.slice(0, LISTED),
      ...(problems.length > LISTED ? { more_problems: problems.length - LISTED } : {}),
    }
  },
  async dry(ctx, input) {
    const { beads, links, problems, renamed } = await read(ctx, input)
    return [
      `add ${beads.length} beads, or bring them up to date, with ${links.length} links`,
      ...renamed.slice(0, LISTED).map(({ id, bead_id }) => `give ${JSON.stringify(id)} the id ${bead_id}`),
      ...problems.slice(0, LISTED).map(({ line, msg }) => `leave out line ${line}: ${msg}`),
    ]
  },
})

/**
 * Imports part after part, each under a key of its own: sent again under the same key, an import goes on after the last part that
 * was committed. Sent again without one it does too, since what is there already is left alone.
 */
async function importParts(
  ctx: CommandContext,
  input: Input,
  { parts, problems: cycles }: Arranged,
): Promise<Imported> {
  const { strict, reopen } = input
  const total = { added: 0, updated: 0, unchanged: 0, reopened: 0, links: 0 }
  const problems: Problem[] = []
  let doneBeads = 0
  let saidAt = performance.now()
  for (const [at, { beads, links }] of parts.entries()) {
    const args = {
      beads,
      links,
      // what is wrong already, for the refusal to name with the rest
      ...(strict ? { strict, problems: cycles } : {}),
      ...(reopen ? { reopen } : {}),
    }
    const d = await writePart<Imported>(
      ctx,
      'import',
      args,
      { cmd: 'import', ...given(input) },
      {
        key: parts.length === 1 ? ctx.key : `${ctx.key}/${at + 1}`,
        proc: { analyze: false },
      },
    )
    for (const name of ['added', 'updated', 'unchanged', 'reopened', 'links'] as const) total[name] += d[name]
    problems.push(...d.problems)
    doneBeads += beads.length
    // by itself: nobody waits for it, as they would for the import's lock
    if (needsStatistics(at, parts)) await ctx.db.script('analyze swarm.bead_backlog, swarm.bead_links')
    if (ctx.signal.aborted && at + 1 < parts.length) throw interrupted(ctx, input, doneBeads)
    if (input.progress && performance.now() - saidAt >= PROGRESS_EVERY_MS) {
      saidAt = performance.now()
      await ctx.emit([{ kind: 'progress', beads: doneBeads, of: beadsOf(parts), ...total }])
    }
  }
  return { ...total, problems }
}

/** After the 1st, 2nd, 4th, 8th … part and the last one: plans for a table that was much smaller would be slow ones. */
function needsStatistics(at: number, parts: readonly Part[]): boolean {
  const isLast = at === parts.length - 1
  const isPower = ((at + 1) & at) === 0
  return (parts[0]?.beads.length ?? 0) >= 500 && (isLast || isPower)
}

function beadsOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { beads }) => sum + beads.length, 0)
}

function interrupted(ctx: CommandContext, input: Input, doneBeads: number): SwarmError {
  return new SwarmError(
    'TIMEOUT',
    `told to stop after ${doneBeads} beads; sent again it goes on from there`,
    {
      ctx: { beads: doneBeads },
      fix: { cmd: 'import', ...given(input), idem: ctx.key },
    },
  )
}

/** Loaded here: reading files is nothing that the start of another verb should pay for. */
async function read(
  ctx: CommandContext,
  input: Input,
): Promise<BacklogFile & { readonly renamed: readonly Renamed[] }> {
  const { backlogPath, readBacklog } = await import('../backlog/read-file.ts')
  const { unusualIds, withMadeIds } = await import('../backlog/bead-ids.ts')
  const path = backlogPath(ctx, input.path, given(input))
  const file = await readBacklog(path, { format: input.format, reopen: input.reopen ?? false })
  const unusual = unusualIds(file)
  const there = await existing(ctx, unusual)
  return {
    ...file,
    ...withMadeIds(
      file,
      unusual.filter((id) => !there.has(id)),
    ),
  }
}

/** Beads that an earlier version imported keep their ids. */
async function existing(ctx: CommandContext, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set()
  const rows = await ctx.db.read<{ bead_id: string }>(
    `select bead_id from swarm.bead_backlog
      where repo_id = $1 and bead_id = any(array(select json_array_elements_text($2::text::json)))`,
    [ctx.repo, JSON.stringify(ids)],
  )
  return new Set(rows.map(({ bead_id }) => bead_id))
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
