/** Writes src/commands/registry.ts: which verbs there are and how each is loaded. Run by the build. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { COMMANDS, loadContract } from './definitions.mjs'

const TARGET = join(COMMANDS, 'registry.ts')

/** Brings the registry up to date; a registry that already says the same is not touched. Resolves true if it wrote. */
export async function writeRegistry() {
  const { commands } = await loadContract()
  const wanted = registryText(commands)
  const current = await readFile(TARGET, 'utf8').catch(() => '')
  if (current === wanted) return false
  await writeFile(TARGET, wanted)
  return true
}

/** The text of the registry for a list of commands. */
export function registryText(commands) {
  const loaders = commands.flatMap(({ name, aliases = [] }) =>
    [name, ...aliases].map((word) => `  ${key(word)}: async () => (await import('./${name}.ts')).default,`),
  )
  const verbs = commands.map(
    ({ name, summary, group, aliases = [] }) =>
      `  { name: ${text(name)}, summary: ${text(summary)}, group: ${text(group)}, aliases: [${aliases.map(text).join(', ')}] },`,
  )
  return `// Generated from the files of this folder by scripts/registry.mjs. Do not edit.
import type { Catalog } from '../contract/command.ts'

export const loaders: Catalog['loaders'] = {
${loaders.sort().join('\n')}
}

export const verbs: Catalog['verbs'] = [
${verbs.join('\n')}
]

export const catalog: Catalog = { verbs, loaders }
`
}

function key(word) {
  return /^[a-z]+$/.test(word) ? word : text(word)
}

function text(value) {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const changed = await writeRegistry()
  process.stderr.write(
    changed ? 'src/commands/registry.ts is written\n' : 'src/commands/registry.ts is up to date\n',
  )
}
