import type { JsonObject } from '../contract/json.ts'

type Row = readonly [
  id: string,
  title: string,
  priority: 0 | 1 | 2 | 3 | 4,
  type: 'task' | 'feature' | 'bug',
  labels: readonly string[],
  dependsOn: readonly string[],
  description: string,
]

/** The backlog of an invented product: the software of a library that lends tools. */
const ROWS: readonly Row[] = [
  [
    'store-schema',
    'Describe items, members and loans as tables',
    0,
    'task',
    ['storage'],
    [],
    'An item is lent at most once at a time. The database says so, not the code.',
  ],
  [
    'http-skeleton',
    'Serve HTTP with request ids, a health check and a graceful stop',
    0,
    'task',
    ['api'],
    [],
    'A stop finishes the requests that run and refuses new ones.',
  ],
  [
    'loan-rules',
    'Decide who may borrow what, and for how long',
    0,
    'feature',
    ['domain'],
    ['store-schema'],
    'Members borrow up to five items for fourteen days; a saw needs the safety course.',
  ],
  [
    'member-accounts',
    'Let members sign in with a link sent by mail',
    1,
    'feature',
    ['api', 'security'],
    ['store-schema', 'http-skeleton'],
    'A link works once and for ten minutes.',
  ],
  [
    'item-catalogue',
    'List and search items with photos and availability',
    1,
    'feature',
    ['api'],
    ['store-schema', 'http-skeleton'],
    'Search finds words in any order and forgives one typing error.',
  ],
  [
    'checkout-desk',
    'Hand out and take back items with a barcode',
    1,
    'feature',
    ['web', 'domain'],
    ['loan-rules', 'item-catalogue'],
    'Scan the member, scan the items, done. Undo works for a minute.',
  ],
  [
    'reservations',
    'Reserve an item that is out, first come first served',
    2,
    'feature',
    ['domain'],
    ['loan-rules', 'member-accounts'],
    'The next in line has two days to come.',
  ],
]

const FIRST_CREATED = Date.UTC(2026, 0, 12, 9)
const HOUR_MS = 3_600_000

/** The example backlog, one object per line as a beads tracker exports it. */
export function exampleBacklog(): readonly JsonObject[] {
  return ROWS.map(([id, title, priority, type, labels, dependsOn, description], at) => ({
    id,
    title,
    description,
    status: 'open',
    priority,
    issue_type: type,
    labels,
    created_at: new Date(FIRST_CREATED + at * HOUR_MS).toISOString(),
    dependencies: dependsOn.map((other) => ({ issue_id: id, depends_on_id: other, type: 'blocks' })),
  }))
}
