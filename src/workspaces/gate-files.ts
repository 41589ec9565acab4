import { posix } from 'node:path'
import { git, tryGit } from './git.ts'
import type { Repository } from './repository.ts'

/** As commands show a null byte of their output. */
const NUL = '\u2400'

/**
 * Files of a gate that a commit has changed since it left the target branch: those that match `patterns` (as git's `:(glob)` reads them), else the
 * words of the gate itself that name a file there. What the work has made, and the target branch did not have, is no change.
 */
export async function changedGateFiles(
  { commonDir, target }: Repository,
  commit: string,
  argv: readonly string[],
  patterns: readonly string[] | undefined,
): Promise<readonly string[]> {
  const base = await tryGit(['merge-base', `refs/heads/${target}`, commit], { cwd: commonDir })
  if (base.exitCode !== 0) return []
  const specs = patterns
    ? patterns.map((pattern) => `:(top,glob)${pattern}`)
    : (await filesAmong(commonDir, base.stdout, argv)).map((file) => `:(top,literal)${file}`)
  if (specs.length === 0) return []
  const changed = await git(
    ['diff', '--name-only', '--no-renames', '--no-ext-diff', '-z', base.stdout, commit, '--', ...specs],
    { cwd: commonDir },
  )
  return changed.split(NUL).filter((file) => file !== '')
}

/** The words of a command that name a file of a commit by a path from its root. */
async function filesAmong(cwd: string, commit: string, argv: readonly string[]): Promise<readonly string[]> {
  const words = argv
    .map((word) => posix.normalize(word))
    .filter((word) => word !== '.' && !/^(\/|\.\.|-)/.test(word))
  if (words.length === 0) return []
  const listed = await git(['ls-tree', '-z', '--full-tree', commit, '--', ...words], { cwd })
  return listed.split(NUL).flatMap((line) => {
    const [about = '', file] = line.split('\t')
    return file !== undefined && about.split(' ')[1] === 'blob' ? [file] : []
  })
}
