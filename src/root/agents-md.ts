import { closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SwarmError } from '../contract/errors.ts'

const FILE = 'AGENTS.md'
const BEGIN = '<!-- swarm:begin -->'
const END = '<!-- swarm:end -->'

/**
 * Appends a text between markers to AGENTS.md of a root, unless the markers are there: what people made of it stays. A link is not
 * followed, it may point out of the root: INVALID.
 */
export function appendOnce(root: string, text: string): 'added' | 'unchanged' {
  const descriptor = open(join(root, FILE))
  try {
    const source = readFileSync(descriptor, 'utf8')
    if (source.includes(BEGIN)) return 'unchanged'
    const gap = source === '' ? '' : source.endsWith('\n') ? '\n' : '\n\n'
    writeFileSync(
      descriptor,
      `${gap}${BEGIN}\n## Working as an agent of the swarm\n\n${text.trim()}\n${END}\n`,
    )
    return 'added'
  } finally {
    closeSync(descriptor)
  }
}

function open(file: string): number {
  const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW } = constants
  try {
    return openSync(file, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ELOOP')) throw error
    throw new SwarmError('INVALID', `${file} is a link, and links are not followed`, {
      ctx: { kind: 'InvalidValue', field: 'agents_md', expected: 'a file of the root, or none', got: file },
    })
  }
}
