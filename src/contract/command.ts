import type * as z from 'zod'
import type { CommandContext, WriteCall } from './context.ts'
import type { ErrorCode } from './errors.ts'
import type { Json, JsonObject } from './json.ts'

/** `write` changes the database, `read` does not, `local` touches files or servers on this machine. */
export type Effect = 'read' | 'write' | 'local'

/** What must be there before a command can run. */
export type Needs = 'database' | 'root' | 'nothing'

export const GROUPS = ['loop', 'set up', 'work', 'look', 'talk', 'other'] as const
export type Group = (typeof GROUPS)[number]

/**
 * One request with its answer, for the reference page and the conformance fixtures. `given` is sent first, in
 * order, to an empty repo. In `out` a string starting with `$` matches by type: `$int`, `$string`, `$time`, `$any`.
 * Keys absent from `out` are not compared.
 */
export interface Example {
  readonly given?: readonly JsonObject[]
  readonly in: JsonObject
  readonly out: Json
}

/* Methods, not function properties: their parameters compare bivariantly, which is what erasing the input needs. */
interface CommandBase<I extends z.ZodObject, O extends z.ZodType> {
  /** The verb, as sent in `cmd`. */
  readonly name: string
  readonly aliases?: readonly string[]
  readonly group: Group
  /** One line, lower case, without a full stop. */
  readonly summary: string
  /** The verb's own fields; the common ones are added to every verb. */
  readonly input: I
  /** The shape of `d`. */
  readonly output: O
  readonly effect: Effect
  /** `database` unless said. */
  readonly needs?: Needs
  /** Codes this verb can answer besides INVALID, INTERNAL, DEPENDENCY and TIMEOUT. */
  readonly errors: readonly ErrorCode[]
  readonly examples: readonly Example[]
  /** Fields that a shell may give without a flag, in order. */
  readonly positional?: readonly string[]
  /** Other names for fields, accepted on input. */
  readonly fieldAliases?: Readonly<Record<string, string>>
  /** True when the answer is a page with `more` and `cursor`, asked for by `after`: then `stream` sends page after page. */
  readonly pages?: true
  /** True when this request may wait; then it needs a `rid` in a pipe and runs beside the others. */
  waits?(input: z.output<I>): boolean
  /** What a dry run answers; a sentence per change. Reads only. */
  dry?(ctx: CommandContext, input: z.output<I>): Promise<readonly string[]>
}

/** A verb that runs code of its own. */
export interface RunCommand<I extends z.ZodObject, O extends z.ZodType> extends CommandBase<I, O> {
  run(ctx: CommandContext, input: z.output<I>): Promise<z.output<O>>
}

/** A verb that only appends: it contends for no row, so several waiting lines travel as one statement. */
export interface AppendCommand<I extends z.ZodObject, O extends z.ZodType> extends CommandBase<I, O> {
  append(ctx: CommandContext, input: z.output<I>): WriteCall
}

export type Command<I extends z.ZodObject, O extends z.ZodType> = RunCommand<I, O> | AppendCommand<I, O>

/** A command whose input type is erased: what the registry hands out. Its input must come from its own schema. */
export type AnyCommand = Command<z.ZodObject, z.ZodType>

/** Declares one verb. Everything else that knows about it is generated from this object. */
export function defineCommand<I extends z.ZodObject, O extends z.ZodType>(
  command: Command<I, O>,
): Command<I, O> {
  return command
}
