import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A scratch git repository with one commit on `main`, optionally with a bare remote called origin. */
export interface ScratchRepository {
  readonly root: string
  readonly remote: string | undefined
  /** Runs git in the working copy, or in `cwd`. */
  git(args: readonly string[], cwd?: string): string
  /** Writes a file and commits it; answers the commit. */
  commit(file: string, text: string, cwd?: string): string
  remove(): void
}

const IDENTITY = ['-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'commit.gpgSign=false']

export function scratchRepository({ remote = false }: { readonly remote?: boolean } = {}): ScratchRepository {
  const home = mkdtempSync(join(tmpdir(), 'swarm-git-'))
  const root = join(home, 'work')
  const bare = remote ? join(home, 'remote.git') : undefined
  const git = (args: readonly string[], cwd = root) =>
    execFileSync('git', [...IDENTITY, ...args], {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim()
  git(['init', '--quiet', '--initial-branch=main', root], home)
  const commit = (file: string, text: string, cwd = root) => {
    writeFileSync(join(cwd, file), text)
    git(['add', '--', file], cwd)
    git(['commit', '--quiet', '-m', `change ${file}`], cwd)
    return git(['rev-parse', 'HEAD'], cwd)
  }
  writeFileSync(join(root, '.gitignore'), '.swarm/\nignored\n')
  git(['add', '.gitignore'])
  commit('README.md', 'a scratch repository\n')
  if (bare) {
    git(['init', '--quiet', '--bare', '--initial-branch=main', bare], home)
    git(['remote', 'add', 'origin', bare])
    git(['push', '--quiet', 'origin', 'main'])
  }
  return { root, remote: bare, git, commit, remove: () => rmSync(home, { recursive: true, force: true }) }
}
