import * as z from 'zod'
import { ADAPTERS } from './agents-config.ts'
import { LIMITS, label, PRIORITIES, role, text } from './fields.ts'

/** Priorities from the first to the last, both meant: indexes of `PRIORITIES`. */
export interface PriorityRange {
  readonly from: number
  readonly to: number
}

const PRIORITY = /^p?([0-4])(?:\.\.p?([0-4]))?$/

/** The range that `1`, `"p1"` or `"p0..p2"` means; undefined when it is none, or runs backwards and so holds nothing. */
export function priorityRange(given: string | number): PriorityRange | undefined {
  const found = PRIORITY.exec(String(given))
  if (!found) return undefined
  const from = Number(found[1])
  const to = Number(found[2] ?? found[1])
  return from <= to && to < PRIORITIES.length ? { from, to } : undefined
}

const priority = z
  .union([z.int(), z.string()])
  .refine((given) => priorityRange(given) !== undefined, {
    error: 'must be a priority like 1 or "p1", or a range like "p0..p2", the more urgent one first',
  })
  .describe('1 or "p1"; a range is "p0..p2"')

const matchSchema = z.strictObject({
  type: z
    .union([text(64), z.array(text(64)).min(1).max(64)])
    .optional()
    .describe('type of the bead, or a list of which it is one'),
  labels: z.array(label).min(1).max(64).optional().describe('labels, all of which the bead has'),
  priority: priority.optional(),
  title: text(LIMITS.title)
    .optional()
    .describe('the whole title; * stands for any letters, ? for one; capitals do not matter'),
})

const ruleSchema = z.strictObject({
  name: text(64).optional().describe('what people call it'),
  match: matchSchema.describe('all of it must hold; {} is every bead'),
  workflow: text(64).optional().describe('for beads that were added without one and have not begun'),
  role: role.optional().describe('who does it, at the stages that this role may do'),
  model: text(200).optional(),
  adapter: z.enum(ADAPTERS).optional(),
  budget_usd: z.number().positive().optional().describe('instead of budgets.bead_usd'),
  budget_tokens: z.int().min(1).optional().describe('instead of budgets.bead_tokens'),
})

/** `[[rules]]` of `.swarm/config.toml`: what becomes of a bead, by what it is. The first rule that matches decides. Active keys: trust. */
export const rulesSchema = z
  .array(ruleSchema)
  .max(200)
  .superRefine((rules, ctx) => {
    const all = rules.findIndex(({ match }) => Object.keys(match).length === 0)
    if (all >= 0 && all < rules.length - 1)
      ctx.addIssue({
        code: 'custom',
        path: [all + 1],
        message: `rule ${all + 2} can never match, since rule ${all + 1} matches every bead: put that one last`,
      })
  })

export type RuleConfig = z.output<typeof ruleSchema>

/** The keys that may stand at a place of `rules`, for whoever has written another one. */
export function ruleKeysAt(path: readonly PropertyKey[]): readonly string[] {
  return Object.keys(path.at(-1) === 'match' ? matchSchema.shape : ruleSchema.shape)
}
