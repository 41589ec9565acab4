/**
 * Writes everything that follows from the command definitions: protocol/ and the command table of the README. With `--check`
 * it writes nothing, lists what differs and exits 1.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { COMMANDS, loadContract, ROOT } from './definitions.mjs'
import { fixtureText } from './protocol/fixtures.mjs'
import { openApi } from './protocol/openapi.mjs'
import { commandTable, referencePage } from './protocol/reference.mjs'
import { commandSchema, envelopeSchema, errorTable, eventSchema } from './protocol/schemas.mjs'
import { registryText } from './registry.mjs'

const PROTOCOL = join(ROOT, 'protocol')
const README = join(ROOT, 'README.md')
const MARKS = { begin: '<!-- commands:begin -->', end: '<!-- commands:end -->' }

/** Every generated file, as path and text. */
async function wantedFiles() {
  const contract = await loadContract()
  const { commands } = contract
  const intro = await readFile(join(ROOT, 'scripts', 'protocol', 'intro.md'), 'utf8')
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const files = new Map([
    [join(COMMANDS, 'registry.ts'), registryText(commands)],
    [join(PROTOCOL, 'envelope.json'), json(envelopeSchema(contract))],
    [join(PROTOCOL, 'event.json'), json(eventSchema(contract))],
    [join(PROTOCOL, 'errors.json'), json(errorTable(contract))],
    [join(PROTOCOL, 'openapi.json'), json(openApi({ ...contract, VERSION: version }))],
    [join(PROTOCOL, 'PROTOCOL.md'), referencePage(contract, intro)],
  ])
  for (const command of commands) {
    files.set(join(PROTOCOL, 'commands', `${command.name}.json`), json(commandSchema(contract, command)))
    for (const [at, example] of command.examples.entries()) {
      files.set(join(PROTOCOL, 'fixtures', `${command.name}.${at + 1}.jsonl`), fixtureText(example))
    }
  }
  const readme = await readFile(README, 'utf8').catch(() => undefined)
  const between = readme?.includes(MARKS.begin) && readme.includes(MARKS.end)
  if (between) files.set(README, withTable(readme, commandTable(contract)))
  return files
}

function withTable(readme, table) {
  const head = readme.slice(0, readme.indexOf(MARKS.begin) + MARKS.begin.length)
  return `${head}\n${table}\n${readme.slice(readme.indexOf(MARKS.end))}`
}

/** Paths of files that were generated once and are not any more. */
async function stale(wanted) {
  const names = await readdir(PROTOCOL, { recursive: true, withFileTypes: true }).catch(() => [])
  return names
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !wanted.has(path))
}

async function drifted(wanted) {
  const current = await Promise.all(
    [...wanted.keys()].map((path) => readFile(path, 'utf8').catch(() => undefined)),
  )
  return [...wanted.keys()].filter((path, at) => current[at] !== wanted.get(path))
}

function json(value) {
  return `${JSON.stringify(value, null, 2)}\n`
}

const wanted = await wantedFiles()
const [changed, extra] = [await drifted(wanted), await stale(wanted)]
if (process.argv.includes('--check')) {
  for (const path of [...changed, ...extra]) process.stdout.write(`${relative(ROOT, path)}\n`)
  process.exitCode = changed.length + extra.length > 0 ? 1 : 0
} else {
  for (const path of changed) {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, wanted.get(path))
  }
  for (const path of extra) await rm(path)
  process.stderr.write(`${changed.length} files written, ${extra.length} removed, of ${wanted.size}\n`)
}
