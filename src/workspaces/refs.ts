import { git } from './git.ts'
import { beadIdOf } from './names.ts'
import { isAncestor, type Repository } from './repository.ts'

/** A ref under which swarm keeps work. */
export interface KeptRef {
  readonly ref: string
  readonly commit: string
  /** Whose work it is; undefined when the name does not tell. */
  readonly beadId: string | undefined
  /** True when the target branch has all of it. */
  readonly landed: boolean
}

/** All refs under refs/swarm/. */
export async function listRefs(repository: Repository): Promise<readonly KeptRef[]> {
  const { commonDir, target } = repository
  const lines = await git(['for-each-ref', '--format=%(objectname) %(refname)', 'refs/swarm/'], {
    cwd: commonDir,
  })
  const found: KeptRef[] = []
  for (const line of lines.split('\n').filter((one) => one !== '')) {
    const [commit = '', ref = ''] = line.split(' ')
    const landed = await isAncestor(commonDir, commit, `refs/heads/${target}`)
    // refs/swarm/<kind>/<bead>/<which>
    const name = ref.split('/')[3]
    found.push({ ref, commit, beadId: name === undefined ? undefined : beadIdOf(name), landed })
  }
  return found
}

/** Removes a ref that still names this commit. */
export async function removeRef({ commonDir }: Repository, ref: string, commit: string): Promise<void> {
  await git(['update-ref', '-d', ref, commit], { cwd: commonDir })
}
