import { lstat, rm } from 'node:fs/promises'
import { SwarmError } from '../contract/errors.ts'
import { maskSecrets } from '../contract/secrets.ts'
import { type Argv, type CommandResult, resolveGate, runCommand, tailOf } from '../process/index.ts'
import { git, REMOVED } from './git.ts'

/** Commands of the operator that make and remove workspaces, instead of `git worktree`. From the trusted configuration. */
export interface WorkspaceMaker {
  readonly create: Argv
  /** Without it, a worktree is removed by git and a clone by deleting it. */
  readonly remove: Argv | undefined
  readonly timeoutMs: number
  /** The operator's PATH. */
  readonly path: string
}

/** What a command is told, by variables. */
export interface MakerOrder {
  /** The directory that holds `.swarm/`, in which the command runs: SWARM_ROOT. */
  readonly root: string
  readonly commonDir: string
  /** SWARM_BEAD_ID */
  readonly beadId: string
  /** SWARM_WORKSPACE: the directory to make or to remove. */
  readonly path: string
  /** SWARM_BRANCH: what is to be checked out there. */
  readonly branch: string
  /** SWARM_COMMIT: where the branch is to stand, or where it stood. */
  readonly commit: string
  /** SWARM_TARGET: the branch that work lands on. */
  readonly target: string
}

const TAIL_CHARS = 2_000

/** Throws DEPENDENCY when a program of the maker is not there. */
export function mustFindMaker({ create, remove, path }: WorkspaceMaker, root: string): void {
  for (const [key, argv] of [['create', create] as const, ...(remove ? [['remove', remove] as const] : [])])
    resolve(key, argv, path, root)
}

/**
 * Runs `create`; `check` then says what is wrong with what it made. What a failed one has left in the place is taken away, since it was empty
 * before: by `remove` where there is one, as it may hold more than files, like a mount.
 */
export async function makeByCommand(
  maker: WorkspaceMaker,
  order: MakerOrder,
  check: () => Promise<string | undefined>,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await run('create', maker.create, maker, order, signal)
    const wrong = await check()
    if (wrong !== undefined) throw failed('create', order, `has made no workspace at ${order.path}: ${wrong}`)
  } catch (error) {
    await clear(maker, order, error)
    throw error
  }
}

async function clear(maker: WorkspaceMaker, order: MakerOrder, error: unknown): Promise<void> {
  const { remove } = maker
  const isThere = async () => (await lstat(order.path).catch(() => undefined)) !== undefined
  if (!remove) await rm(order.path, { recursive: true, force: true })
  else if (await isThere()) await run('remove', remove, maker, order).catch(() => {})
  await git(['worktree', 'prune', '--expire=now'], { cwd: order.commonDir })
  if (error instanceof SwarmError && (await isThere()))
    throw error.with({
      message: `${error.message}; what it has left at ${order.path} was not removed`,
      ctx: error.ctx,
    })
}

/** Runs `remove`. DEPENDENCY when it fails, or leaves the directory. */
export async function removeByCommand(
  maker: WorkspaceMaker & { readonly remove: Argv },
  order: MakerOrder,
): Promise<void> {
  await run('remove', maker.remove, maker, order)
  if (await lstat(order.path).catch(() => undefined)) throw failed('remove', order, `has left ${order.path}`)
  await git(['worktree', 'prune', '--expire=now'], { cwd: order.commonDir })
}

type Key = 'create' | 'remove'

function resolve(key: Key, argv: Argv, path: string, root: string) {
  try {
    return resolveGate(argv, { root, cwd: root, path })
  } catch (error) {
    if (!(error instanceof SwarmError)) throw error
    throw error.with({
      message: error.message.replace('the gate’s program', `the program of workspace_command.${key},`),
      ctx: { ...error.ctx, field: `orchestrator.workspace_command.${key}` },
    })
  }
}

async function run(
  key: Key,
  argv: Argv,
  maker: WorkspaceMaker,
  order: MakerOrder,
  signal?: AbortSignal,
): Promise<void> {
  const program = resolve(key, argv, maker.path, order.root)
  const result = await runCommand({
    argv: program.argv,
    cwd: order.root,
    env: {
      ...Object.fromEntries(REMOVED.map((name) => [name, undefined])),
      GIT_TERMINAL_PROMPT: '0',
      PATH: program.path,
      SWARM_ROOT: order.root,
      SWARM_BEAD_ID: order.beadId,
      SWARM_WORKSPACE: order.path,
      SWARM_BRANCH: order.branch,
      SWARM_COMMIT: order.commit,
      SWARM_TARGET: order.target,
    },
    timeoutMs: maker.timeoutMs,
    watched: true,
    ...(signal ? { signal } : {}),
  })
  if (result.ended === 'exited' && result.exitCode === 0) return
  const output = maskSecrets(tailOf(result.output.text, TAIL_CHARS))
  throw failed(key, order, `${how(result, maker.timeoutMs)}${output === '' ? '' : `: ${output}`}`)
}

function how({ ended, exitCode, signal }: CommandResult, timeoutMs: number): string {
  if (ended === 'aborted') return 'was told to end'
  if (ended === 'timed_out') return `did not end within ${timeoutMs} ms`
  return ended === 'exited' ? `exited with ${exitCode}` : `was ended by ${signal ?? 'a signal'}`
}

function failed(key: Key, { beadId, path }: MakerOrder, problem: string): SwarmError {
  return new SwarmError('DEPENDENCY', `workspace_command.${key} for ${beadId} ${problem}`, {
    ctx: {
      dependency: `workspace_command.${key}`,
      field: `orchestrator.workspace_command.${key}`,
      bead_id: beadId,
      path,
    },
    retryable: false,
  })
}
