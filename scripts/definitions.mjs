/**
 * Loads what the code declares, for the scripts that derive files from it: the sources are bundled in memory, so nothing needs
 * to have been built before.
 */
import { readdir, readFile } from 'node:fs/promises'
import Module from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
export const COMMANDS = join(ROOT, 'src', 'commands')

/** The verbs: a command file is a .ts directly in src/commands that declares a command, named like its verb. */
export async function commandFiles() {
  const names = (await readdir(COMMANDS)).filter((name) => name.endsWith('.ts')).sort(byVerb)
  const declares = await Promise.all(
    names.map(async (name) =>
      (await readFile(join(COMMANDS, name), 'utf8')).includes('export default defineCommand('),
    ),
  )
  return names.filter((_, at) => declares[at])
}

/**
 * The commands, with the parts of the contract that describe them, all out of one bundle (and so of one zod). Throws when a
 * file is not named like its verb or when two verbs share a name.
 */
export async function loadContract() {
  const files = await commandFiles()
  const contract = await evaluate(
    [
      `export { z } from 'zod'`,
      `export { GROUPS } from '../contract/command.ts'`,
      `export { commonFields, EVENT_ALIASES, writeFields } from '../contract/common.ts'`,
      `export { ERRORS } from '../contract/errors.ts'`,
      `export { eventRow } from '../contract/events.ts'`,
      `export { describeFields, describeShape } from '../contract/introspect.ts'`,
      `export { ROUTES } from '../surface/http/routes.ts'`,
      `export { STATUS } from '../surface/http/status.ts'`,
      `export { phrase } from '../repair/wording.ts'`,
      ...files.map((file, at) => `import c${at} from './${file}'`),
      `export const commands = [${files.map((_, at) => `c${at}`).join(', ')}]`,
    ].join('\n'),
  )
  checkNames(files, contract.commands)
  return contract
}

function checkNames(files, commands) {
  const taken = new Map()
  for (const [at, { name, aliases = [] }] of commands.entries()) {
    if (`${name}.ts` !== files[at]) throw new Error(`src/commands/${files[at]} declares the verb ${name}`)
    for (const word of [name, ...aliases]) {
      if (taken.has(word)) throw new Error(`${word} is a name of both ${taken.get(word)} and ${name}`)
      taken.set(word, name)
    }
  }
}

/** Runs a module that is written as if it stood in src/commands. The registry is empty there: it may not exist yet. */
async function evaluate(contents) {
  const registry = {
    name: 'empty-registry',
    setup(build) {
      build.onLoad({ filter: /[\\/]src[\\/]commands[\\/]registry\.ts$/ }, () => ({
        contents: 'export const loaders = {}, verbs = [], catalog = { verbs, loaders }',
      }))
      build.onResolve({ filter: /(^|\/)registry\.ts$/ }, (args) => ({
        path: join(args.resolveDir, args.path),
      }))
    },
  }
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: COMMANDS, loader: 'ts' },
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    packages: 'external',
    logLevel: 'error',
    plugins: [registry],
  })
  const module = new Module(join(ROOT, 'definitions.cjs'))
  module.paths = [join(ROOT, 'node_modules')]
  module._compile(outputFiles[0].text, join(ROOT, 'definitions.cjs'))
  return module.exports
}

/** `resume` before `resume-context`: in the order of the verbs, not of the files. */
function byVerb(a, b) {
  return a.replace(/\.ts$/, '') < b.replace(/\.ts$/, '') ? -1 : 1
}
