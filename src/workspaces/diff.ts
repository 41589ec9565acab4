import { stripVTControlCharacters } from 'node:util'
import { maskSecrets } from '../contract/secrets.ts'
import { type GitOptions, git, tryGit } from './git.ts'

/** A file that was changed, as git names it; without counts when its content is no text, or is large. */
export interface ChangedFile {
  readonly path: string
  readonly added?: number
  readonly removed?: number
}

/** What one commit changes since another, as far as it was asked for. */
export interface Diff {
  readonly files: ChangedFile[]
  /** There are more files than are named. */
  readonly more_files: boolean
  readonly patch: string
  /** The patch goes on after this. */
  readonly cut: boolean
}

const MOST_FILES = 500
const TIMEOUT_MS = 10_000
/** Both at once, of one bead after the other: whoever asks waits for those who asked before. */
const AT_ONCE = 2

/**
 * Comparing two commits runs nothing that a repository names: no hook, no filter, and with these options no program for diffs or texts
 * either. A large file is told as binary.
 */
const SETTINGS = ['core.bigFileThreshold=512k', 'diff.algorithm=myers']
const COMPARE = [
  'diff-tree',
  '-r',
  '--no-commit-id',
  '--no-ext-diff',
  '--no-textconv',
  '--no-color',
  '--no-renames',
]

let running = 0
const waiting: (() => void)[] = []

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve))
  else running += 1
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    if (next) next()
    else running -= 1
  }
}

/** What `commit` changes since `base`, both being ids of commits that are here. At most `maxBytes` of the patch, without control characters. */
export function diffOf(cwd: string, base: string, commit: string, maxBytes: number): Promise<Diff> {
  const options: GitOptions = { cwd, timeoutMs: TIMEOUT_MS, settings: SETTINGS, sealed: true }
  return inTurn(async () => {
    const numbers = await git([...COMPARE, '--numstat', base, commit], options)
    const lines = numbers.split('\n').flatMap(fileOf)
    const text = await git([...COMPARE, '--patch', base, commit], {
      ...options,
      // of what is too long, the first quarter is kept from its beginning
      maxOutputBytes: maxBytes * 4,
    })
    const bytes = Buffer.from(text)
    const cut = bytes.length > maxBytes
    const kept = cut ? bytes.subarray(0, bytes.lastIndexOf('\n', maxBytes - 1) + 1) : bytes
    return {
      files: lines.slice(0, MOST_FILES),
      more_files: lines.length > MOST_FILES,
      patch: maskSecrets(visible(stripVTControlCharacters(kept.toString('utf8')))),
      cut,
    }
  })
}

/** How many files `commit` changes since `base`. */
export async function countChangedFiles(cwd: string, base: string, commit: string): Promise<number> {
  const names = await git([...COMPARE, '--name-only', base, commit], {
    ...{ cwd, timeoutMs: TIMEOUT_MS, settings: SETTINGS, sealed: true },
  })
  // a name with a line break in it is quoted
  return names === '' ? 0 : names.split('\n').length
}

/** Characters that would change how others are shown are told by their number: what is read must be what is there. */
function visible(text: string): string {
  return text.replace(
    /(?![\n\t])[\p{Cc}\p{Bidi_Control}]/gu,
    (char) => `<U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}>`,
  )
}

function fileOf(line: string): ChangedFile[] {
  const [, added, removed, path] = /^(\d+|-)\t(\d+|-)\t(.+)$/.exec(line) ?? []
  if (path === undefined) return []
  return added === '-' ? [{ path }] : [{ path, added: Number(added), removed: Number(removed) }]
}

/** The commit from which two lines of work went apart; undefined when they have none in common. */
export async function forkOf(cwd: string, one: string, other: string): Promise<string | undefined> {
  const answer = await tryGit(['merge-base', '--', one, other], {
    cwd,
    timeoutMs: TIMEOUT_MS,
    sealed: true,
  })
  return answer.exitCode === 0 ? answer.stdout.split('\n')[0] : undefined
}
