import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Import, importsOf, resolveImport } from './structure-imports.ts'

const SRC = join(__dirname, '..', 'src')

/**
 * What each part of the house may import, besides itself. The design decides this; a new line needs a reason there, and one
 * that nobody uses is taken out. `logger`,
 * `ndjson` and `self` are files, not folders; everybody may use `logger`.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  contract: [],
  repair: ['contract'],
  wire: ['contract'],
  process: ['contract'],
  root: ['contract'],
  db: ['contract'],
  embedded: ['contract', 'db', 'self'],
  events: ['contract'],
  runtime: ['contract', 'repair', 'db', 'embedded', 'root'],
  work: ['contract', 'runtime', 'process'],
  backlog: ['contract', 'ndjson'],
  doctor: ['contract', 'root', 'db', 'runtime'],
  core: ['contract'],
  workspaces: ['contract', 'process'],
  orchestrator: ['contract', 'core', 'runtime', 'process', 'agents', 'workspaces'],
  agents: ['contract', 'process', 'self'],
  notify: ['contract', 'events'],
  commands: [
    'contract',
    'repair',
    'root',
    'db',
    'embedded',
    'events',
    'runtime',
    'work',
    'core',
    'backlog',
    'doctor',
    'agents',
    'orchestrator',
    'notify',
    'ndjson',
    'demo',
  ],
  logger: ['contract'],
  ndjson: ['contract', 'wire'],
  terminal: [],
  surface: ['contract', 'repair', 'wire', 'root', 'runtime', 'events', 'commands', 'terminal'],
  demo: ['contract', 'db', 'embedded', 'process', 'workspaces', 'ndjson', 'terminal'],
  self: [],
}

/** Each library has one owner: files whose path starts so. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  '@agentclientprotocol/sdk': ['agents/acp/'],
  '@modelcontextprotocol/server': ['surface/mcp/'],
  '@hono/node-server': ['surface/http/'],
  commander: ['surface/cli/'],
  execa: ['process/'],
  'fastest-levenshtein': ['repair/'],
  hono: ['surface/http/'],
  ndjson: ['ndjson.ts'],
  pino: ['logger.ts'],
  postgres: ['db/'],
  'prom-client': ['surface/http/'],
  'smol-toml': ['root/'],
  ws: ['surface/http/'],
  zod: ['surface/http/', 'contract/', 'backlog/', 'commands/', 'runtime/', 'work/', 'orchestrator/'],
}

/** Files directly in src that start the program. */
const STARTERS = ['main', 'boot']

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .sort()
  .map((name) => ({ path: name, text: readFileSync(join(SRC, name), 'utf8') }))

const imports: readonly Import[] = files.flatMap(({ path, text }) => importsOf(path, text))

/** `db/client/pool.ts` belongs to `db`, `logger.ts` to `logger`. */
function partOf(path: string): string {
  return path.split('/')[0]?.replace(/\.ts$/, '') ?? path
}

test('there is something to check', () => {
  expect(files.length).toBeGreaterThan(50)
  expect(imports.length).toBeGreaterThan(200)
})

test('every part of the house is in the table', () => {
  const parts = new Set(files.map(({ path }) => partOf(path)))
  expect([...parts].filter((part) => !STARTERS.includes(part) && !(part in MAY_IMPORT))).toEqual([])
})

describe('parts import only what the table allows', () => {
  const inner = imports.flatMap((one) => {
    const target = resolveImport(SRC, one)
    return target === undefined ? [] : [{ ...one, target: partOf(relative(SRC, target)), file: target }]
  })

  test.each([...new Set(files.map(({ path }) => partOf(path)))].filter((part) => !STARTERS.includes(part)))(
    '%s',
    (part) => {
      const allowed = [part, 'logger', ...(MAY_IMPORT[part] ?? [])]
      const broken = inner
        .filter(({ from, target }) => partOf(from) === part && !allowed.includes(target))
        .map(({ from, specifier }) => `${from} imports ${specifier}`)
      expect(broken).toEqual([])
    },
  )

  test('every permission of the table is used', () => {
    const used = new Set(inner.map(({ from, target }) => `${partOf(from)} → ${target}`))
    const granted = Object.entries(MAY_IMPORT).flatMap(([part, others]) =>
      others.map((other) => `${part} → ${other}`),
    )
    expect(granted.filter((permission) => !used.has(permission))).toEqual([])
  })

  test('no files import each other in a circle', () => {
    const graph = new Map<string, string[]>()
    for (const { from, file } of inner) {
      const source = join(SRC, from)
      graph.set(source, [...(graph.get(source) ?? []), file])
    }
    expect(circlesOf(graph).map((circle) => circle.map((file) => relative(SRC, file)).join(' → '))).toEqual(
      [],
    )
  })

  test('nothing but the starters imports surface', () => {
    const users = inner.filter(({ target }) => target === 'surface').map(({ from }) => partOf(from))
    expect([...new Set(users)].filter((part) => part !== 'surface' && !STARTERS.includes(part))).toEqual([])
  })

  test('the starters load modes by dynamic import only', () => {
    const eager = inner.filter(
      ({ from, kind, target, file }) =>
        STARTERS.includes(partOf(from)) &&
        kind === 'static' &&
        !['contract', 'logger', 'self'].includes(target) &&
        // a script of its own without any library, asked before the program is loaded
        !file.endsWith('surface/resident/client.ts'),
    )
    expect(eager.map(({ from, specifier }) => `${from} imports ${specifier}`)).toEqual([])
  })

  test('every import names a file that is there', () => {
    const names = new Set(files.map(({ path }) => join(SRC, path)))
    expect(inner.filter(({ file }) => file.endsWith('.ts') && !names.has(file))).toEqual([])
  })
})

test('what swarm starts itself as is named in one file', () => {
  const modes = /['"`]self:/
  expect([...new Set(linesWith(modes).map((line) => line.split(':')[0]))]).toEqual(['self.ts'])
})

test('no two steps of the schema have one number: the second would be skipped', () => {
  const steps = readdirSync(join(__dirname, '..', 'sql', 'steps')).filter((name) => name.endsWith('.sql'))
  expect(steps.length).toBeGreaterThan(1)
  expect(new Set(steps.map((name) => Number.parseInt(name, 10))).size).toBe(steps.length)
})

describe('libraries', () => {
  const outer = imports.filter(
    ({ specifier }) => !specifier.startsWith('.') && !specifier.startsWith('node:'),
  )

  test('are used by their owner only', () => {
    const broken = outer
      .filter(({ from, specifier }) => !OWNERS[packageOf(specifier)]?.some((owner) => from.startsWith(owner)))
      .map(({ from, specifier }) => `${from} imports ${specifier}`)
    expect(broken).toEqual([])
  })

  test('of the table are all used', () => {
    const used = new Set(outer.map(({ specifier }) => packageOf(specifier)))
    expect(Object.keys(OWNERS).filter((name) => !used.has(name))).toEqual([])
  })
})

describe('the compiler is not talked out of anything', () => {
  test.each([
    ['any', /\bas any\b|:\s*any\b(?!['"])|<any\b|\bany\[\]/],
    ['a directive', /@ts-(?:ignore|nocheck|expect-error)|eslint-disable/],
    ['top-level await or import.meta', /^await\b|^const .* = await\b|\bimport\.meta\b/],
  ])('%s', (_name, pattern) => {
    expect(linesWith(pattern)).toEqual([])
  })

  test('a cast has a comment that says why it is safe', () => {
    const bare = files.flatMap(({ path, text }) => {
      const lines = text.split('\n')
      return lines.flatMap((line, at) => {
        const around = lines.slice(Math.max(0, at - 4), at + 1)
        return isCast(line) && !around.some((near) => /\/\/|^\s*\/?\*/.test(near))
          ? [`${path}:${at + 1} ${line.trim()}`]
          : []
      })
    })
    expect(bare).toEqual([])
  })
})

/** SQL says `as` too, but names nothing with a capital. */
function isCast(line: string): boolean {
  const code = line.replace(/'[^']*'/g, "''")
  return / as (?:[A-Z]\w*|never\b|unknown\b)/.test(code) && !/^\s*(?:import|export|\/?\*|\/\/)/.test(line)
}

function linesWith(pattern: RegExp): readonly string[] {
  return files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, at) => {
      const isComment = /^\s*(?:\/\/|\/?\*)/.test(line) && !/@ts-|eslint/.test(line)
      return pattern.test(line) && !isComment ? [`${path}:${at + 1} ${line.trim()}`] : []
    }),
  )
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** Each circle once, as the files along it; found by a walk in depth. */
function circlesOf(graph: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const circles: string[][] = []
  const done = new Set<string>()
  const walk = (file: string, path: readonly string[]): void => {
    const seen = path.indexOf(file)
    if (seen >= 0) circles.push([...path.slice(seen), file])
    if (seen >= 0 || done.has(file)) return
    for (const next of graph.get(file) ?? []) walk(next, [...path, file])
    done.add(file)
  }
  for (const file of graph.keys()) walk(file, [])
  return circles
}
