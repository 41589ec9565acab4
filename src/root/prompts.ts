import { lstatSync, opendirSync } from 'node:fs'
import { join } from 'node:path'
import { SWARM_DIR } from './find.ts'
import { codeOf, readSmall } from './small-file.ts'

/** Prompts for stages that a root brings, and what of them cannot be used. */
export interface StagePrompts {
  /** By stage. */
  readonly texts: Readonly<Record<string, string>>
  readonly faults: readonly { readonly file: string; readonly problem: string }[]
}

const NONE: StagePrompts = { texts: {}, faults: [] }
/** Every start reads them. */
const MOST_BYTES = 65_536
const MOST_ENTRIES = 256
const NAME = /^([A-Za-z0-9][A-Za-z0-9._-]{0,63})\.md$/

/**
 * Reads `.swarm/prompts/<stage>.md`. A repository that somebody else wrote may hold anything there: no link is followed, nothing but a regular
 * file is read, and no more than 64 KiB of one. Files whose names do not end in `.md` or begin with a dot are left alone.
 */
export function readPrompts(root: string): StagePrompts {
  const dir = join(root, SWARM_DIR, 'prompts')
  const shown = (name = '') => join(SWARM_DIR, 'prompts', name)
  const found = lstatSync(dir, { throwIfNoEntry: false })
  if (!found) return NONE
  if (!found.isDirectory()) return { texts: {}, faults: [{ file: shown(), problem: 'is no directory' }] }
  const texts: [string, string][] = []
  const faults: { file: string; problem: string }[] = []
  try {
    const names = namesIn(dir)
    if (names.length > MOST_ENTRIES)
      return {
        texts: {},
        faults: [{ file: shown(), problem: `holds more than ${MOST_ENTRIES} files` }],
      }
    for (const name of names.sort()) {
      if (name.startsWith('.') || !name.endsWith('.md')) continue
      const stage = NAME.exec(name)?.[1]
      const read =
        stage === undefined
          ? { problem: 'is no name of a stage' }
          : readSmall(join(dir, name), MOST_BYTES, { follow: false })
      if ('text' in read && read.text.trim() === '') faults.push({ file: shown(name), problem: 'is empty' })
      else if ('text' in read && stage !== undefined) texts.push([stage, read.text])
      else if ('problem' in read) faults.push({ file: shown(name), problem: read.problem })
    }
  } catch (error) {
    faults.push({ file: shown(), problem: `cannot be read (${codeOf(error)})` })
  }
  return { texts: Object.fromEntries(texts), faults }
}

/** Names of a directory, at most one more than may be. */
function namesIn(dir: string): string[] {
  const opened = opendirSync(dir)
  const names: string[] = []
  try {
    for (let entry = opened.readSync(); entry && names.length <= MOST_ENTRIES; entry = opened.readSync())
      names.push(entry.name)
  } finally {
    opened.closeSync()
  }
  return names
}
