import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

test('what is generated from the command definitions is up to date: else run `npm run generate`', () => {
  const script = join(__dirname, '..', '..', 'scripts', 'generate.mjs')
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' })
  expect({ stdout, stderr, status }).toEqual({ stdout: '', stderr: '', status: 0 })
})
