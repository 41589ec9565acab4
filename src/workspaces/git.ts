import { SwarmError } from '../contract/errors.ts'
import { type CommandResult, MARKER_NAME, runCommand } from '../process/index.ts'

/** How a git command runs. */
export interface GitOptions {
  /** The directory in which git runs. */
  readonly cwd: string
  /** 60,000 ms unless said. */
  readonly timeoutMs?: number
  /** Written to stdin. */
  readonly input?: string
  /** Settings of this command besides, like `core.bigFileThreshold=1m`. */
  readonly settings?: readonly string[]
  /** Instead of the repository's own index. */
  readonly indexFile?: string
  /** Ends the command when aborted. */
  readonly signal?: AbortSignal
  /** Of stdout and stderr, 8 MiB unless said: a quarter from the beginning, the rest from the end. */
  readonly maxOutputBytes?: number
  /** Reads what is in the repository as it is: fetches nothing that is missing, and follows no refs/replace. */
  readonly sealed?: boolean
  /** By which it is found when this process is gone. */
  readonly marker?: string
}

const DEFAULT_TIMEOUT_MS = 60_000
const OUTPUT_BYTES = 8 * 1_048_576

/**
 * Settings of every git command that swarm runs: no hooks, no monitor, no signing, no automatic clean-up, no other transports than
 * those of a plain push, and an identity that does not depend on whose machine this is.
 */
const SETTINGS = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'commit.gpgSign=false',
  'tag.gpgSign=false',
  'gc.auto=0',
  'maintenance.auto=false',
  'protocol.ext.allow=never',
  'rerere.enabled=false',
  'rebase.autoStash=false',
  'advice.detachedHead=false',
  'core.quotePath=false',
] as const

const IDENTITY = {
  GIT_AUTHOR_NAME: 'swarm',
  GIT_AUTHOR_EMAIL: 'swarm@localhost',
  GIT_COMMITTER_NAME: 'swarm',
  GIT_COMMITTER_EMAIL: 'swarm@localhost',
} as const

/** Variables that would lead git to another repository, index or configuration than that of `cwd`. */
export const REMOVED = [
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_INDEX_FILE',
  'GIT_COMMON_DIR',
  'GIT_OBJECT_DIRECTORY',
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_NAMESPACE',
  'GIT_CONFIG',
  'GIT_CONFIG_COUNT',
  'GIT_CONFIG_PARAMETERS',
  'GIT_EXTERNAL_DIFF',
  'GIT_CEILING_DIRECTORIES',
] as const

/** No transport is allowed, whatever the configuration says of one: a clone that lacks objects would fetch them. */
const SEALED = { GIT_ALLOW_PROTOCOL: '', GIT_NO_LAZY_FETCH: '1', GIT_NO_REPLACE_OBJECTS: '1' } as const

/** What git answered: trimmed stdout, and everything that it said. */
export interface GitAnswer {
  readonly exitCode: number
  readonly stdout: string
  readonly output: string
}

/**
 * Runs git with an argument list, never through a shell. Resolves whatever its exit code is; throws DEPENDENCY when git is missing
 * and TIMEOUT when it does not end within its deadline.
 */
export async function tryGit(args: readonly string[], options: GitOptions): Promise<GitAnswer> {
  const {
    cwd,
    timeoutMs = DEFAULT_TIMEOUT_MS,
    settings = [],
    input,
    indexFile,
    signal,
    sealed = false,
    marker,
  } = options
  const result = await runCommand({
    argv: ['git', ...[...SETTINGS, ...settings].flatMap((setting) => ['-c', setting]), ...args],
    cwd,
    env: {
      ...Object.fromEntries(REMOVED.map((name) => [name, undefined])),
      ...IDENTITY,
      GIT_TERMINAL_PROMPT: '0',
      GIT_OPTIONAL_LOCKS: '0',
      GIT_EDITOR: 'true',
      GIT_SEQUENCE_EDITOR: 'true',
      LC_ALL: 'C',
      ...(indexFile === undefined ? {} : { GIT_INDEX_FILE: indexFile }),
      ...(sealed ? SEALED : {}),
      ...(marker === undefined ? {} : { [MARKER_NAME]: marker }),
    },
    ...(input === undefined ? {} : { input }),
    timeoutMs,
    maxOutputBytes: options.maxOutputBytes ?? OUTPUT_BYTES,
    ...(signal ? { signal } : {}),
  })
  if (result.ended === 'timed_out' || result.ended === 'aborted') throw ended(args, cwd, timeoutMs, result)
  return {
    exitCode: result.exitCode ?? -1,
    stdout: result.stdout.text.trimEnd(),
    output: result.output.text.trimEnd(),
  }
}

/** The same for a command that has to succeed; answers its stdout. Another exit code is DEPENDENCY with what git said. */
export async function git(args: readonly string[], options: GitOptions): Promise<string> {
  const answer = await tryGit(args, options)
  if (answer.exitCode === 0) return answer.stdout
  throw gitFailed(args, options.cwd, answer)
}

/** The error of a git command that failed. */
export function gitFailed(args: readonly string[], cwd: string, answer: GitAnswer): SwarmError {
  return new SwarmError('DEPENDENCY', `git ${args[0]} failed: ${tail(answer.output)}`, {
    ctx: {
      dependency: 'git',
      command: ['git', ...args].join(' ').slice(0, 500),
      cwd,
      exit_code: answer.exitCode,
    },
    retryable: false,
  })
}

function ended(
  args: readonly string[],
  cwd: string,
  timeoutMs: number,
  { ended: how }: CommandResult,
): SwarmError {
  return new SwarmError(
    'TIMEOUT',
    how === 'aborted' ? `git ${args[0]} was ended` : `git ${args[0]} did not end within ${timeoutMs} ms`,
    { ctx: { dependency: 'git', command: ['git', ...args].join(' ').slice(0, 500), cwd } },
  )
}

function tail(text: string): string {
  return text.length <= 500 ? text : `…${text.slice(-500)}`
}
