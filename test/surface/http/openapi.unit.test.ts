import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { expect, test } from 'vitest'
import { ROUTES } from '../../../src/surface/http/routes.ts'

const file = join(__dirname, '..', '..', '..', 'protocol', 'openapi.json')
const document = JSON.parse(readFileSync(file, 'utf8'))

test('protocol/openapi.json is valid OpenAPI 3.1', async () => {
  const { valid, errors } = await new Validator().validate(document)
  expect({ valid, errors }).toEqual({ valid: true, errors: undefined })
  expect(document.openapi).toMatch(/^3\.1\./)
})

test('every route is in it, every reference leads somewhere, and operations have names of their own', () => {
  for (const { method, path } of ROUTES)
    expect(
      document.paths[path.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()],
      `${method} ${path}`,
    ).toBeDefined()
  const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(
    ([, name]) => name,
  )
  expect(refs.filter((name) => document.components.schemas[name ?? ''] === undefined)).toEqual([])
  const operations = Object.values<Record<string, { operationId: string }>>(document.paths).flatMap((one) =>
    Object.values(one),
  )
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
})
