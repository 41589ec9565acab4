import * as z from 'zod'
import { text } from './fields.ts'

const MOST = 1_000

/** How many of each role: an object, or as a person types it, like `implementer=4,reviewer=2`. */
export const roleCounts = z.union([
  z.record(text(64), z.int().min(0).max(MOST)),
  z
    .string()
    .max(2_000)
    .regex(/^[^=,]{1,64}=(\d{1,3}|1000)(,[^=,]{1,64}=(\d{1,3}|1000))*$/, {
      error: `must be like implementer=4,reviewer=2, at most ${MOST} of each`,
    }),
])

/** The same as an object; of a role that is named twice the last count stands. */
export function countsOf(told: z.output<typeof roleCounts>): Readonly<Record<string, number>>
export function countsOf(
  told: z.output<typeof roleCounts> | undefined,
): Readonly<Record<string, number>> | undefined
export function countsOf(
  told: z.output<typeof roleCounts> | undefined,
): Readonly<Record<string, number>> | undefined {
  if (typeof told !== 'string') return told
  return Object.fromEntries(
    told.split(',').map((pair) => {
      const [role = '', count = '0'] = pair.split('=')
      return [role.trim(), Number(count)]
    }),
  )
}
