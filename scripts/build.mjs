/**
 * Bundles src/main.ts into dist/swarm.cjs: one file, because finding and reading many is most of a start. Brings the registry of
 * commands up to date first. Needs nothing that install scripts make: it works after `npm ci --ignore-scripts`.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build as bundle } from 'esbuild'
import { esbuildPlugin } from './postgres-patch.mjs'
import { writeRegistry } from './registry.mjs'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
/** What the bundle is made of besides src: when it is newer, the bundle is old. */
export const INPUTS = ['src', 'scripts', 'schema.sql', 'package.json', 'package-lock.json'].map((name) => join(ROOT, name))
export const BUNDLE = join(ROOT, 'dist', 'swarm.cjs')

/** Builds the bundle. It is put in place whole, so a process that starts meanwhile gets the old one or the new one. */
export async function build() {
  await writeRegistry()
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const { outputFiles } = await bundle({
    entryPoints: [join(ROOT, 'src', 'main.ts')],
    outfile: BUNDLE,
    write: false,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
    // names stay as they are: a stack trace must say something
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    define: { SWARM_VERSION: JSON.stringify(version) },
    loader: { '.sql': 'text' },
    logLevel: 'warning',
    plugins: [esbuildPlugin(), onlyEnglish(), lazyChildProcess()],
  })
  await mkdir(dirname(BUNDLE), { recursive: true })
  const [{ contents }] = outputFiles
  const fresh = `${BUNDLE}.${process.pid}`
  await writeFile(fresh, contents)
  await rename(fresh, BUNDLE)
  return { bytes: contents.length }
}

/** zod brings its messages in fifty languages; the other forty-nine are a third of the bundle. */
function onlyEnglish() {
  return {
    name: 'only-english',
    setup(build) {
      build.onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.(js|cjs)$/ }, () => ({
        contents: `export { default as en } from './en.js'`,
      }))
    },
  }
}

/** commander loads node:child_process for subcommands that are programs of their own; there are none here. */
function lazyChildProcess() {
  return {
    name: 'lazy-child-process',
    setup(build) {
      build.onLoad({ filter: /[\\/]commander[\\/]lib[\\/]command\.js$/ }, async ({ path }) => {
        const source = await readFile(path, 'utf8')
        const line = `const childProcess = require('node:child_process');`
        if (!source.includes(line)) return { errors: [{ text: `${path} does not load child_process as expected` }] }
        return { contents: source.replace(line, ''), loader: 'js' }
      })
    },
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { bytes } = await build()
  process.stderr.write(`dist/swarm.cjs: ${Math.round(bytes / 1024)} KiB\n`)
}
