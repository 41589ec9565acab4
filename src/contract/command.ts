import type { Writable } from 'node:stream'
import type * as z from 'zod'
import type { Database, ExecuteOptions, Holdings, Root, WriteCall } from './context.ts'
import type { Rid } from './envelope.ts'
import type { ErrorCode, FixRequest } from './errors.ts'
import type { Json, JsonObject } from './json.ts'
import type { Need, Principal, Reach } from './roles.ts'

/** `write` changes the database, `read` does not, `local` touches files or servers on this machine. */
export type Effect = 'read' | 'write' | 'local'

/** What must be there before a command can run. */
export type Needs = 'database' | 'root' | 'nothing'

/** `compat` has verbs that repeat others and stay for those who use them; they are told by `help` and by their name only. */
export const GROUPS = ['loop', 'set up', 'work', 'run', 'look', 'talk', 'other', 'compat'] as const
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
  /** The role it needs where tokens are asked for: `observer` for a read and `operator` for anything else unless said. */
  readonly role?: Need | ((input: Readonly<Record<string, unknown>>) => Need)
  /** What it acts on, where that is not its repo (for a verb that needs a database) or this machine (for any other). */
  readonly reach?: (input: Readonly<Record<string, unknown>>) => Reach
  /** Fields that say who speaks: filled in, and never another than the token's agent. `agent_id`, `agent`, `for_agent` unless said. */
  readonly speakers?: readonly string[]
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
  /** True when it can be no part of a batch although it does not wait: it runs for long, or makes the tables themselves. */
  readonly alone?: true
  /**
   * True when it runs what the request says, or reads and writes files where swarm runs. Over a network that takes a token; what acts on
   * this machine otherwise (its `reach`, an effect that is `local`) does too, unless this says false.
   */
  readonly hostBound?: boolean
  /** True when its process stays for long and answers one-shot calls of the root meanwhile. */
  readonly resides?: true
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

/** What is known of a verb before it is loaded. */
export interface Verb {
  readonly name: string
  readonly summary: string
  readonly group: Group
  readonly aliases: readonly string[]
}

/** The verbs there are, and how each is loaded, under its name and its other names. */
export interface Catalog {
  readonly verbs: readonly Verb[]
  readonly loaders: Readonly<Record<string, () => Promise<AnyCommand>>>
}

/** Loads the command of a word that is a verb or another name of one; undefined when it is neither. */
export function loadVerb({ loaders }: Catalog, word: string): Promise<AnyCommand> | undefined {
  return Object.hasOwn(loaders, word) ? loaders[word]?.() : undefined
}

/** Where a server listens. */
export interface ServeOptions {
  /** Address or name of the interface. */
  readonly host: string
  /** 0 for any that is free. */
  readonly port: number
}

/** What a server says of itself while it runs, and at its end. */
export interface Served {
  readonly url: string
  readonly auth: 'tokens' | 'cooperative'
  /** Requests answered so far. */
  readonly requests: number
}

/** Everything a command may use. All I/O that is not the database's comes in here. */
export interface CommandContext {
  readonly repo: string
  /** Null outside a root; only commands with `needs: 'nothing'` see that. */
  readonly root: Root | null
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** The verbs there are. */
  readonly catalog: Catalog
  /** Connects on first use. */
  readonly db: Database
  /** The URL that this request or the environment gave; undefined when the root says where the database is. */
  readonly databaseUrl: string | undefined
  readonly rid: Rid | undefined
  /** The operation key of this request: `idem`, or one that swarm made. */
  readonly key: string
  readonly dry: boolean
  /** Who the token of this request stands for; null where none was shown. */
  readonly principal: Principal | null
  /** Makes a token this process's own. UNAUTHORIZED when it is not good, CONFLICT when the process speaks for somebody else already. */
  authenticate(token: string): Promise<Principal>
  /** True while nobody has shown a token, but the repo has no operator's yet: then whoever opens the database makes it. */
  readonly unowned: boolean
  /** Random id of this process. */
  readonly holder: string
  readonly holdings: Holdings
  /** True while this process renews the leases it takes: a pipe whose input has not ended. */
  readonly renews: boolean
  /** Aborted when the process was told to stop. */
  readonly signal: AbortSignal
  /** How requests are written for the reader of this reply. */
  readonly render: (request: FixRequest) => string
  /** Suggests the request to send next; only where it is not the documented flow. */
  next(request: FixRequest): void
  /** Where a command that runs for this request shows its output as it comes; only in a one-shot call. */
  readonly echo: Writable | undefined
  /**
   * Serves the verbs over HTTP until the process is told to stop; `onOpen` is called once it listens. Only in a one-shot call: a server is
   * a process of its own.
   */
  readonly serve:
    | ((
        ctx: CommandContext,
        options: ServeOptions,
        onOpen: (served: Served) => Promise<void>,
      ) => Promise<Served>)
    | undefined
  /** Sends lines of this answer ahead of its reply, in order; resolves when the reader has taken them. */
  emit(lines: readonly Json[]): Promise<void>
  /** True once the process was told to stop; `signal` may also mean that only this request was ended. */
  readonly stopping: boolean
  /** Aborted when the process was told to stop a second time. Whoever reads it promises to be over soon then. */
  readonly hurried: AbortSignal
  /** Aborted when the pipe's input has ended; never in a one-shot call. */
  readonly inputEnd: AbortSignal
  /** The last fences of the named cursors that this process has held, by `<repo>/<name>`. They go with its acks. */
  readonly cursors: Map<string, number>
  /** Ends a request of this process that is still open; false when there is none with that `rid`. */
  cancel(rid: Rid): boolean
  /** Marks this reply as the first reply of an earlier send. */
  replayed(): void
  /** Runs another request as a part of this one and answers its `d`. Throws its error. */
  execute(request: JsonObject, options?: ExecuteOptions): Promise<Json>
}
