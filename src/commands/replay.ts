import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { text } from '../contract/fields.ts'
import { type Replayed, replay, subjectOf, type TickRecord } from '../core/replay.ts'
import { limit, more, pageOf } from '../runtime/page.ts'

const MOST_BYTES = 128 * 1_048_576

const action = z.object({ kind: z.string(), subject: z.string(), reason: z.string() })
const waiting = z.object({ bead_id: z.string(), why: z.string(), detail: z.string() })
const row = z.object({
  line: z.int(),
  at: z.string(),
  run_id: z.string(),
  term: z.int(),
  same: z.boolean().describe('what is decided now is what was decided then'),
  actions: z.array(action),
  waiting: z.array(waiting),
  recorded: z
    .object({ actions: z.array(action), waiting: z.array(waiting) })
    .optional()
    .describe('what was decided then; only where it differs'),
})

/** Only as much as is needed to decide; facts that are none are found by deciding. */
const recordShape = z.object({
  version: z.literal(1),
  at: z.string(),
  run_id: z.string(),
  term: z.int(),
  rules: z.looseObject({ roles: z.looseObject({}), supervision: z.looseObject({}) }),
  snapshot: z.looseObject({ now_ms: z.number(), run: z.looseObject({}) }),
  decision: z.object({ actions: z.array(z.looseObject({})), waiting: z.array(z.looseObject({})) }),
})

export default defineCommand({
  name: 'replay',
  group: 'run',
  summary: 'decide a history again that up has recorded, and compare; reads the file and nothing else',
  input: z.strictObject({
    path: text(4_096).describe('a file that `up` with `record` has written'),
    different: z.boolean().optional().describe('only looks that are decided otherwise now'),
    limit: limit(100),
    after: z.int().min(0).max(2_147_483_647).optional().describe('cursor of the last answer'),
  }),
  output: z.object({
    looks: z.int().describe('in the whole file'),
    differing: z.int().describe('of these'),
    cut: z.literal(true).optional().describe('the last line was not written to its end'),
    decisions: z.array(row),
    more,
    cursor: z.int().optional().describe('give it as `after` next time'),
  }),
  effect: 'read',
  needs: 'nothing',
  hostBound: true,
  role: 'operator',
  errors: ['NOTFOUND'],
  positional: ['path'],
  examples: [],
  async run({ cwd }, { path, different, after = 0, limit: most }) {
    const lines = (await readText(resolve(cwd, path), path)).split('\n')
    // a leader that is killed while it writes leaves half a line
    const rest = lines.pop() ?? ''
    const rows = lines.map((line, at) => rowOf(path, at + 1, line))
    const shown = rows.filter(({ line, same }) => line > after && !(different && same))
    const { rows: decisions, ...page } = pageOf(shown.slice(0, most + 1), most, ({ line }) => line)
    return {
      looks: rows.length,
      differing: rows.filter(({ same }) => !same).length,
      ...(rest === '' ? {} : { cut: true as const }),
      decisions,
      ...page,
    }
  },
})

async function readText(file: string, given: string): Promise<string> {
  const found = await stat(file).catch(() => undefined)
  if (!found?.isFile())
    throw new SwarmError('NOTFOUND', `there is no file ${given}`, { ctx: { field: 'path', got: given } })
  if (found.size > MOST_BYTES) throw invalid(given, `it has more than ${MOST_BYTES} bytes`)
  return readFile(file, 'utf8')
}

function rowOf(path: string, line: number, text: string): z.output<typeof row> {
  const parsed = recordShape.safeParse(parse(text))
  if (!parsed.success) throw invalid(path, `line ${line} is no recorded look`)
  // the leader has written what it had; what is missing is found when it is needed
  const record = parsed.data as unknown as TickRecord
  const { at, run_id, term, decision } = record
  let again: Replayed
  try {
    again = replay(record)
  } catch (error) {
    throw invalid(path, `line ${line} cannot be decided: ${error instanceof Error ? error.message : error}`)
  }
  const { same, ...now } = again
  return {
    line,
    at,
    run_id,
    term,
    same,
    ...told(now),
    ...(same ? {} : { recorded: told(decision) }),
  }
}

function told({ actions, waiting }: TickRecord['decision']) {
  return {
    actions: actions.map((one) => ({ kind: one.kind, subject: subjectOf(one), reason: one.reason })),
    waiting: waiting.map(({ bead_id, why, detail }) => ({ bead_id, why, detail })),
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function invalid(path: string, why: string): SwarmError {
  return new SwarmError('INVALID', `${path} cannot be replayed: ${why}`, {
    ctx: { kind: 'InvalidValue', field: 'path', got: path },
  })
}
