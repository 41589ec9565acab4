import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build, transform } from 'esbuild'
import { afterAll, expect, it } from 'vitest'
import { esbuildPlugin, patchPostgres } from '../../scripts/postgres-patch.mjs'

const ROOT = join(__dirname, '..', '..')
const source = readFileSync(join(ROOT, 'node_modules', 'postgres', 'src', 'connection.js'), 'utf8')
const dir = mkdtempSync(join(tmpdir(), 'swarm-patch-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

async function bundle(program: string): Promise<string> {
  const entry = join(dir, 'entry.js')
  writeFileSync(entry, program)
  const options = { bundle: true, write: false, platform: 'node', format: 'cjs', logLevel: 'silent' } as const
  const result = await build({
    ...options,
    entryPoints: [entry],
    nodePaths: [join(ROOT, 'node_modules')],
    plugins: [esbuildPlugin()],
  })
  return result.outputFiles[0]?.text ?? ''
}

it('fits the driver that is installed, and is JavaScript', async () => {
  const patched = patchPostgres(source)
  expect(patched).not.toMatch(/^import (?:tls|crypto) /m)
  await transform(patched)
})

it('throws when the driver is not the one it was written for', () => {
  expect(() => patchPostgres(source.replace('function nextWrite(fn)', 'function writeNext(fn)'))).toThrow(
    '0 places',
  )
  expect(() => patchPostgres(patchPostgres(source))).toThrow('0 places')
  expect(() => patchPostgres(source + source)).toThrow('2 places')
})

it('is what a bundle gets, which refuses the copy that it does not reach', async () => {
  const text = await bundle(`import postgres from 'postgres'; postgres()`)
  expect(text).toContain('socket === null')
  expect(text).not.toContain('require("tls")')
  await expect(bundle(`require('postgres')`)).rejects.toThrow('is not patched')
})
