import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { landingGates } from '../../src/orchestrator/settings.ts'
import { parseConfig } from '../../src/root/config.ts'

const DOCS = join(__dirname, '..', '..', 'docs')
const blocks = readdirSync(DOCS, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md'))
  .flatMap((name) => {
    const text = readFileSync(join(DOCS, name), 'utf8')
    return [...text.matchAll(/^```toml\n(.*?)^```$/gms)].map(({ 1: toml = '', index }) => ({
      name: `${name}:${text.slice(0, index).split('\n').length}`,
      toml,
    }))
  })

describe('a configuration of the docs', () => {
  test('is found where some are promised', () => {
    expect(blocks.filter(({ name }) => name.startsWith('CONFIGURATIONS.md')).length).toBeGreaterThanOrEqual(6)
  })

  test.each(blocks)('$name is one', ({ toml }) => {
    expect(Object.keys(parseConfig(toml, 'config.toml'))).not.toEqual([])
  })

  test.each(blocks.filter(({ name }) => name.startsWith('CONFIGURATIONS.md')))(
    '$name lands nothing that no gate has seen, and its rules name workflows that are there',
    ({ toml }) => {
      const { workflows = {}, rules = [] } = parseConfig(toml, 'config.toml')
      for (const name of new Set(['default', ...Object.keys(workflows)]))
        expect(landingGates({ workflows }, name), name).not.toEqual([])
      for (const { workflow = 'default' } of rules) expect(Object.keys(workflows)).toContain(workflow)
    },
  )
})
