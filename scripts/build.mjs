/**
 * Bundles src/main.ts into one file, because finding and reading many takes long, and compiles it ahead, because that takes longer.
 * Brings the registry of commands up to date first. Needs nothing that install scripts make: it works after
 * `npm ci --ignore-scripts`.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build as bundle } from 'esbuild'
import { buildDashboardIfOld } from './build-dashboard.mjs'
import { esbuildPlugin } from './postgres-patch.mjs'
import { writeRegistry } from './registry.mjs'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
/** What the bundle is made of besides src: when it is newer, the bundle is old. */
export const INPUTS = ['src', 'scripts', 'schema.sql', 'sql', 'package.json', 'package-lock.json'].map(
  (name) => join(ROOT, name),
)
const DIST = join(ROOT, 'dist')
export const ENTRY = join(DIST, 'swarm.cjs')

/**
 * Builds the bundle with its code cache, and dist/swarm.cjs, which starts it. That one is put in place last and whole: a process that
 * starts meanwhile gets the old bundle or the new one.
 */
export async function build() {
  await writeRegistry()
  await mkdir(DIST, { recursive: true })
  const apart = await bundleApart()
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const main = await bundleFile(
    'main.ts',
    { SWARM_VERSION: version, SWARM_SCHEMA: await schemaBuild() },
    apart,
  )
  const warming = await readFile(join(ROOT, 'scripts', 'warm.cjs'))
  const id = createHash('sha256').update(main).update(warming).digest('hex').slice(0, 12)
  const names = { bundle: `main-${id}.cjs`, cache: `main-${id}.${process.version}-${process.arch}.cache` }
  if (!existsSync(join(DIST, names.bundle))) await put(names.bundle, main)
  if (!existsSync(join(DIST, names.cache))) warm(join(DIST, names.bundle), join(DIST, names.cache))
  const boot = await bundleFile('boot.ts', {
    SWARM_BUNDLE: names.bundle,
    SWARM_CACHE: names.cache,
    SWARM_CACHE_FOR: `${process.version}-${process.arch}`,
  })
  await put('swarm.cjs', boot)
  await sweep([...Object.values(names), ...apart.values()])
  return { bytes: main.length }
}

/** Libraries that a start does not need: in files of their own, the bundle and its code cache are a third smaller. */
const APART = [
  '@agentclientprotocol/sdk',
  '@hono/node-server',
  '@modelcontextprotocol/server',
  'execa',
  'hono',
  'ndjson',
  'pino',
  'prom-client',
  'ws',
]
/** Those of them without a default export. */
const NAMED_ONLY = APART.filter((name) => !['ndjson', 'pino', 'prom-client', 'ws'].includes(name))
/** Further modules of them that are used, in the same file: two copies of one class would not know each other. */
const WITH = {
  '@hono/node-server': ['@hono/node-server/utils/response'],
  hono: ['hono/route'],
  '@modelcontextprotocol/server': ['@modelcontextprotocol/server/stdio'],
}

/** Bundles each of them; answers the file that stands for it. */
async function bundleApart() {
  const files = new Map()
  for (const name of APART) {
    const stdin = { contents: `export * from '${name}'\nexport { default } from '${name}'`, resolveDir: ROOT }
    const modules = [name, ...(WITH[name] ?? [])]
    if (NAMED_ONLY.includes(name)) stdin.contents = modules.map((one) => `export * from '${one}'`).join('\n')
    const { outputFiles } = await bundle({ ...COMMON, stdin, plugins: [onlyEnglish()] })
    const contents = Buffer.from(outputFiles[0].contents)
    const file = `main-${name.replace(/\W+/g, '-')}-${createHash('sha256').update(contents).digest('hex').slice(0, 12)}.cjs`
    if (!existsSync(join(DIST, file))) await put(file, contents)
    for (const one of modules) files.set(one, file)
  }
  return files
}

/** Leaves the libraries that are apart to `require`, which is that of dist/swarm.cjs. */
function standApart(files) {
  return {
    name: 'apart',
    setup(build) {
      build.onResolve({ filter: /^[@a-z]/ }, ({ path }) =>
        files.has(path) ? { path: `./${files.get(path)}`, external: true } : undefined,
      )
    },
  }
}

const COMMON = {
  outdir: DIST,
  write: false,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'cjs',
  // names stay as they are: a stack trace must say something
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  // src/boot.ts reads the bundle as ASCII, and a script from the cache has no import()
  charset: 'ascii',
  supported: { 'dynamic-import': false },
  logLevel: 'warning',
}

/** The version of the schema and the hash of its functions, as src/db/schema-files.ts makes them of the same files. */
async function schemaBuild() {
  const sqlFiles = async (folder) => (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  const steps = await sqlFiles(join(ROOT, 'sql', 'steps'))
  const folder = join(ROOT, 'sql', 'functions')
  const functions = []
  for (const name of await sqlFiles(folder)) functions.push(await readFile(join(folder, name), 'utf8'))
  const hash = createHash('sha256').update(functions.join('\n')).digest('hex').slice(0, 16)
  return `${Number.parseInt(steps.at(-1) ?? '1', 10)}:${hash}`
}

async function bundleFile(entry, values, apart = new Map()) {
  const { outputFiles } = await bundle({
    ...COMMON,
    entryPoints: [join(ROOT, 'src', entry)],
    define: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, JSON.stringify(value)])),
    plugins: [esbuildPlugin(), onlyEnglish(), lazyChildProcess(), standApart(apart)],
  })
  return Buffer.from(outputFiles[0].contents)
}

async function put(name, contents) {
  const fresh = join(DIST, `.${name}.${process.pid}`)
  await writeFile(fresh, contents)
  await rename(fresh, join(DIST, name))
}

/** A bundle without a cache works too, only slower: a failure here is reported and no more. */
function warm(bundle, cache) {
  const { PATH, HOME, TMPDIR } = process.env
  const dir = mkdtempSync(join(tmpdir(), 'swarm-warm-'))
  const { status, stderr } = spawnSync(process.execPath, [join(ROOT, 'scripts', 'warm.cjs'), bundle, cache], {
    cwd: dir,
    env: { PATH, HOME, TMPDIR },
    input: '{"cmd":"record-event","event_type":"x","entity_id":"y"}\n{"cmd":"status","rid":1}\nnot json\n',
    timeout: 30_000,
  })
  rmSync(dir, { recursive: true, force: true })
  if (status !== 0) process.stderr.write(`no code cache: ${stderr}\n`)
}

/** Removes what older builds left, but not what a process that is just starting may still want. */
async function sweep(keep) {
  for (const name of await readdir(DIST)) {
    if (!name.startsWith('main-') || keep.includes(name)) continue
    const { mtimeMs } = await stat(join(DIST, name))
    if (Date.now() - mtimeMs > 600_000) await rm(join(DIST, name), { force: true })
  }
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
        if (!source.includes(line))
          return { errors: [{ text: `${path} does not load child_process as expected` }] }
        return { contents: source.replace(line, ''), loader: 'js' }
      })
    },
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { bytes } = await build()
  await buildDashboardIfOld()
  process.stderr.write(`dist/swarm.cjs starts a bundle of ${Math.round(bytes / 1024)} KiB\n`)
}
