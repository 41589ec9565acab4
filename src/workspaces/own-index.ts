import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { standingOfProcess, thisProcess } from '../process/index.ts'

/** Index files of swarm begin so; then comes the name of the process that made one. */
const PREFIX = 'swarm-index-'

/** Lets git work on an index of its own, so that the repository's stays as it is. It is gone afterwards. */
export async function withOwnIndex<T>(
  commonDir: string,
  work: (indexFile: string) => Promise<T>,
): Promise<T> {
  const file = join(commonDir, `${PREFIX}${thisProcess()}-${crypto.randomUUID()}`)
  try {
    return await work(file)
  } finally {
    await rm(file, { force: true })
    await rm(`${file}.lock`, { force: true })
  }
}

/** Index files of processes of this machine that are gone: nobody will remove them. */
export async function orphanedIndexes(commonDir: string): Promise<readonly string[]> {
  return (await readdir(commonDir))
    .filter((name) => name.startsWith(PREFIX))
    .filter((name) => standingOfProcess(name.slice(PREFIX.length).split('-')[0] ?? '') === 'gone')
    .map((name) => join(commonDir, name))
}

/** Removes them: what was to be kept is in objects of the repository. */
export async function sweepIndexes(commonDir: string): Promise<void> {
  for (const file of await orphanedIndexes(commonDir)) await rm(file, { force: true })
}
