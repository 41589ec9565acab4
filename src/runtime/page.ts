import * as z from 'zod'
import type { CommandContext } from '../contract/command.ts'
import { isJsonObject, type JsonObject } from '../contract/json.ts'
import { readFunction } from './read.ts'

/** How many rows a list answers. */
export function limit(byDefault: number, max = 1_000) {
  return z.int().min(1).max(max).default(byDefault)
}

export const full = z.boolean().optional().describe('with the long texts')
export const stream = z
  .boolean()
  .optional()
  .describe('send page after page, the last one without `more` beside `d`')
export const more = z.boolean().describe('true when the limit cut the answer')

export interface Page<Row, Key> {
  readonly rows: Row[]
  readonly more: boolean
  /** Where the next page begins; absent on the last one. */
  readonly cursor?: Key
}

/** A page ends before the row that would make it longer than this, in characters of JSON; it has one row in any case. */
const PAGE_LENGTH = 1_048_576

/** One page of at most `limit` rows and about 1 MiB, made of up to one row more than that. */
export function pageOf<Row, Key>(rows: readonly Row[], size: number, key: (row: Row) => Key): Page<Row, Key> {
  let length = 0
  let end = 0
  for (const row of rows.slice(0, size)) {
    length += JSON.stringify(row).length
    if (length > PAGE_LENGTH && end > 0) break
    end += 1
  }
  const kept = rows.slice(0, end)
  const last = kept.at(-1)
  const isMore = rows.length > end
  return { rows: kept, more: isMore, ...(isMore && last !== undefined ? { cursor: key(last) } : {}) }
}

/** Calls a list function of schema.sql: it answers `{rows}`, one row more than `limit` when there are more. */
export async function readPage<Row, Key>(
  ctx: CommandContext,
  name: string,
  input: JsonObject & { readonly limit: number },
  key: (row: Row) => Key,
): Promise<Page<Row, Key>> {
  const { rows } = await readFunction<{ rows: Row[] }>(ctx, name, ctx.repo, input)
  return pageOf(rows, input.limit, key)
}

/**
 * Runs a command that answers pages until there are none left: each page but the last is emitted, the last one is the reply. No page
 * is read before the one before it has been taken, so any number of rows passes through constant memory.
 */
export async function streamPages<I extends Readonly<Record<string, unknown>>>(
  ctx: CommandContext,
  input: I,
  run: (input: I) => Promise<unknown>,
): Promise<unknown> {
  for (let after = input.after; ; ) {
    const page = await run(after === undefined ? input : { ...input, after })
    if (!isJsonObject(page) || !page.more || ctx.signal.aborted) return page
    await ctx.emit([page])
    after = page.cursor
  }
}
