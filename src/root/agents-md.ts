import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const FILE = 'AGENTS.md'
const BEGIN = '<!-- swarm:begin -->'
const END = '<!-- swarm:end -->'

/** Appends a text between markers to AGENTS.md of a root, unless the markers are there: what people made of it stays. */
export function appendOnce(root: string, text: string): 'added' | 'unchanged' {
  const file = join(root, FILE)
  const source = read(file)
  if (source.includes(BEGIN)) return 'unchanged'
  const gap = source === '' ? '' : source.endsWith('\n') ? '\n' : '\n\n'
  appendFileSync(file, `${gap}${BEGIN}\n## Working as an agent of the swarm\n\n${text.trim()}\n${END}\n`)
  return 'added'
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}
