import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SwarmError } from '../contract/errors.ts'
import { endMarked, findMarked, newMarker } from '../process/index.ts'
import { type GitAnswer, git, tryGit } from './git.ts'
import { withOwnIndex } from './own-index.ts'

/** What a leader that is gone has begun may take so long to end by itself. */
const GRACE_MS = 5_000
/** A lock of somebody else is waited for so long. */
const PATIENCE_MS = 10_000
const PAUSE_MS = 100

/** What a move that was not finished has said of itself before it began. */
interface Begun {
  /** In the environment of the git command that moves. */
  readonly marker: string
  readonly at: number
}

/**
 * Moves a working copy that has `ref` checked out from `from` to `to`, files, index and branch, as `git merge --ff-only` does. A move that
 * was killed half-way, with its git command or without it, is taken up first: its locks go, and files that are as in `to` already are no
 * changes of a person. Answers what git said; only one at a time.
 */
export async function moveWorkingCopy(
  path: string,
  ref: string,
  from: string,
  to: string,
): Promise<GitAnswer> {
  const dir = await git(['rev-parse', '--absolute-git-dir'], { cwd: path })
  const note = join(dir, 'swarm-moving')
  const begun = await readNote(note)
  if (begun && (await isOver(begun))) {
    const common = await git(['rev-parse', '--path-format=absolute', '--git-common-dir'], { cwd: path })
    for (const lock of [join(dir, 'index.lock'), join(dir, 'HEAD.lock'), join(common, `${ref}.lock`)])
      await removeSince(lock, begun.at)
    await withOwnIndex(common, (indexFile) => takeFiles(path, indexFile, from, to))
  }
  const marker = newMarker()
  await writeFile(note, marker)
  const answer = await patient(() =>
    tryGit(['merge', '--ff-only', '--quiet', to], { cwd: path, marker, timeoutMs: 120_000 }),
  )
  // ended by a signal it may have stopped anywhere; the next move looks
  if (answer.exitCode >= 0 && (await readNote(note))?.marker === marker) await rm(note, { force: true })
  return answer
}

/** The lock that a git command did not get, by what it said; undefined when that was not the reason. */
export function lockedBy({ exitCode, output }: GitAnswer): string | undefined {
  return exitCode === 0 ? undefined : /Unable to create '([^']+\.lock)': File exists/.exec(output)?.[1]
}

/** Runs a git command again while it is refused because of a lock: other programs hold one for a moment, too. */
export async function patient(run: () => Promise<GitAnswer>): Promise<GitAnswer> {
  const until = performance.now() + PATIENCE_MS
  for (;;) {
    const answer = await run()
    if (lockedBy(answer) === undefined || performance.now() >= until) return answer
    await delay(PAUSE_MS)
  }
}

async function readNote(note: string): Promise<Begun | undefined> {
  const [marker, at] = await Promise.all([
    readFile(note, 'utf8').catch(() => undefined),
    stat(note).catch(() => undefined),
  ])
  return marker === undefined || at === undefined ? undefined : { marker, at: at.mtimeMs }
}

/**
 * Resolves when no git command of it runs any more: who leads now ends one that does not end by itself. False where that cannot be told.
 * DEPENDENCY when it cannot be ended.
 */
async function isOver({ marker }: Begun): Promise<boolean> {
  for (const until = performance.now() + GRACE_MS; ; await delay(PAUSE_MS)) {
    const running = findMarked(marker)
    if (!running) return false
    if (running.length === 0) return true
    if (performance.now() >= until) break
  }
  const { left } = await endMarked(marker)
  if (left.length === 0) return true
  const told = left.map(({ pid, name, why }) => `${name} ${pid} (${why})`).join(', ')
  throw new SwarmError('DEPENDENCY', `an earlier move of the working copy cannot be ended: ${told}`, {
    ctx: { dependency: 'git' },
  })
}

async function removeSince(lock: string, at: number): Promise<void> {
  const found = await stat(lock).catch(() => undefined)
  if (found && found.mtimeMs >= at) await rm(lock, { force: true })
}

/** Tells the index of those files between two commits that are in the working copy as the later one has them. */
async function takeFiles(path: string, indexFile: string, from: string, to: string): Promise<void> {
  // each line: both modes, both objects, what happened, and the name, quoted as update-index reads it
  const raw = async (args: readonly string[], index?: object) =>
    (await git([...args, '--raw', '--no-abbrev', '--no-renames'], { cwd: path, ...index }))
      .split('\n')
      .filter((line) => line.startsWith(':'))
  const wanted = await raw(['diff-tree', '-r', from, to])
  await git(['read-tree', from], { cwd: path, indexFile })
  await tryGit(['update-index', '--add', '--remove', '--stdin'], {
    cwd: path,
    indexFile,
    input: wanted.map((line) => `${line.slice(line.indexOf('\t') + 1)}\n`).join(''),
  })
  const found = new Set(await raw(['diff-index', '--cached', from], { indexFile }))
  const input = wanted.flatMap((line) => {
    const [, mode, , object] = line.split(' ')
    return found.has(line) ? [`${mode} ${object}${line.slice(line.indexOf('\t'))}\n`] : []
  })
  await git(['update-index', '--index-info'], { cwd: path, input: input.join('') })
}
