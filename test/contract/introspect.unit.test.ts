import { expect, test } from 'vitest'
import { z } from 'zod'
import { labels, metadata, priority, timestamp } from '../../src/contract/fields.ts'
import { describeFields } from '../../src/contract/introspect.ts'

const id = { type: 'integer', min: 1, max: 9 }

test.each<[string, z.ZodType, object]>([
  ['string', z.string(), { type: 'string', required: true }],
  [
    'bounded string',
    z.string().min(1).max(5),
    { type: 'string', minLength: 1, maxLength: 5, required: true },
  ],
  ['pattern', z.string().regex(/^a+$/), { type: 'string', pattern: '^a+$', required: true }],
  ['integer', z.int().min(1).max(9), { ...id, required: true }],
  ['number', z.number().min(0), { type: 'number', min: 0, required: true }],
  ['boolean', z.boolean().optional(), { type: 'boolean', required: false }],
  ['enum', z.enum(['a', 'b']), { type: 'enum', values: ['a', 'b'], required: true }],
  ['literal', z.literal('a'), { type: 'enum', values: ['a'], required: true }],
  [
    'time',
    timestamp,
    { type: 'string', format: 'datetime', required: true, description: 'ISO 8601 time, UTC' },
  ],
  ['default', z.int().min(1).max(9).default(3), { ...id, required: false, default: 3 }],
  ['nullable', z.int().min(1).max(9).nullable(), { ...id, nullable: true, required: true }],
  ['transform', z.int().min(1).max(9).transform(String), { ...id, required: true }],
  ['preprocess', z.preprocess((v) => v, z.int().min(1).max(9)), { ...id }],
  [
    'described',
    z.string().describe('inner').optional().describe('outer'),
    { type: 'string', required: false, description: 'outer' },
  ],
  ['described inside', z.string().describe('inner').optional(), { required: false, description: 'inner' }],
  ['list', z.array(z.int().min(1).max(9)).max(3), { type: 'array', items: id, maxLength: 3, required: true }],
  [
    'object',
    z.strictObject({ a: z.int().min(1).max(9) }),
    { type: 'object', fields: [{ name: 'a', ...id, required: true }], required: true },
  ],
  ['free object', metadata, { type: 'object', open: true, required: true }],
  ['loose object', z.looseObject({ a: z.string() }), { type: 'object', open: true }],
  ['any JSON', z.json(), { type: 'union', required: true }],
  [
    'union',
    priority,
    {
      type: 'union',
      variants: [
        { type: 'enum', values: ['p0', 'p1', 'p2', 'p3', 'p4'] },
        { type: 'integer', min: 0, max: 4 },
      ],
    },
  ],
  [
    'shared field',
    labels.optional(),
    { type: 'array', required: false, maxLength: 64, description: 'labels' },
  ],
])('%s', (_name, field, expected) => {
  const [info] = describeFields(z.strictObject({ field }))
  expect(info).toMatchObject({ name: 'field', ...expected })
})

test('a refined object has its fields, in order', () => {
  const schema = z.strictObject({ b: z.string(), a: z.string() }).refine(() => true)
  expect(describeFields(schema).map((field) => field.name)).toEqual(['b', 'a'])
})
