import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { isJsonObject, type Json, type JsonObject } from '../../../src/contract/json.ts'
import { mutated, requestOf } from '../../conformance/requests.ts'
import { testDatabase } from '../../support/database.ts'
import { type Answer, ask, startServe } from '../../support/serve.ts'

/** Requests for each operation and seed, as far as the time allows. */
const RUNS = 60
const BUDGET_MS = 8_000
const IDS = [
  'a',
  'b',
  '1',
  's-1',
  's-1:1',
  'run-1',
  'none',
  ' ',
  '%00',
  '%2F..',
  '%F0%9F%92%A5',
  'x'.repeat(300),
  "'--",
]

interface Operation {
  readonly method: string
  readonly path: string
  /** Path, query and body as one object of fields. */
  readonly query: JsonObject
  readonly body: JsonObject | undefined
  readonly answers: ReadonlyMap<number, z.ZodType>
}

const { url: database } = await testDatabase()
const document: JsonObject = JSON.parse(
  readFileSync(join(__dirname, '..', '..', '..', 'protocol', 'openapi.json'), 'utf8'),
)

/** The schema with what it refers to in its place. */
function whole(schema: unknown): JsonObject {
  const text = JSON.stringify(schema, (_key, value: unknown) => {
    if (!isJsonObject(value) || typeof value.$ref !== 'string') return value
    const found = value.$ref
      .slice(2)
      .split('/')
      .reduce((at: unknown, key) => (isJsonObject(at) ? at[key] : undefined), document)
    return found
  })
  return JSON.parse(text)
}

function contentOf(at: unknown): unknown {
  const content = isJsonObject(at) ? at.content : undefined
  const json = isJsonObject(content) ? content['application/json'] : undefined
  return isJsonObject(json) ? json.schema : undefined
}

function operations(): readonly Operation[] {
  const paths = isJsonObject(document.paths) ? document.paths : {}
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(isJsonObject(methods) ? methods : {}).flatMap(([method, one]) => {
      if (!path.startsWith('/api/') || path === '/api/rpc' || !isJsonObject(one)) return []
      const parameters: readonly Json[] = Array.isArray(one.parameters) ? one.parameters : []
      const query = parameters.flatMap((each): [string, Json][] =>
        isJsonObject(each) && each.in === 'query' ? [[String(each.name), whole(each.schema)]] : [],
      )
      const body = contentOf(one.requestBody)
      const answers = Object.entries(isJsonObject(one.responses) ? one.responses : {}).map(
        ([status, answer]): [number, z.ZodType] => [Number(status), schemaOf(whole(contentOf(answer)))],
      )
      return [
        {
          method: method.toUpperCase(),
          path,
          query: { type: 'object', properties: Object.fromEntries(query) },
          body: body === undefined ? undefined : firstOf(whole(body)),
          answers: new Map(answers),
        },
      ]
    }),
  )
}

/** Of the forms that a body may have, the one with a list: the other is its item. */
function firstOf(schema: JsonObject): JsonObject {
  const [first] = Array.isArray(schema.anyOf) ? schema.anyOf : []
  return isJsonObject(first) ? first : schema
}

function schemaOf(json: unknown): z.ZodType {
  // the published schemas are JSON Schema; zod's type names only what it reads of them
  return z.fromJSONSchema(json as Parameters<typeof z.fromJSONSchema>[0])
}

function queryText(query: Json): string {
  const text = new URLSearchParams()
  for (const [name, value] of Object.entries(isJsonObject(query) ? query : {})) {
    const values: readonly (Json | undefined)[] = Array.isArray(value) ? value : [value]
    for (const one of values) {
      if (one === undefined) continue
      text.append(name.toWellFormed(), (typeof one === 'string' ? one : JSON.stringify(one)).toWellFormed())
    }
  }
  return text.toString()
}

const OPERATIONS = operations()

test.each([
  ['the same requests every time', 7],
  ['other requests every time', Number(process.env.SEED ?? Date.now() % 1_000_000)],
])(
  'whatever is sent to a route, the answer has its published shape and is no fault of swarm: %s',
  async (_name, seed) => {
    process.stderr.write(`fuzz over HTTP: SEED=${seed}\n`)
    const serving = await startServe(
      { DATABASE_URL: database, SWARM_REPO: `fuzz-${seed}` },
      { cwd: tmpdir() },
    )
    const send = (method: string, path: string, body?: Json): Promise<Answer> =>
      ask(`${serving.url}${path}`, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
    await send('POST', '/api/rpc', { cmd: 'register', count: 3 })
    await send('POST', '/api/beads', { beads: ['a', 'b'].map((bead_id) => ({ bead_id, title: bead_id })) })
    const findings = new Map<string, string>()
    const startedAt = performance.now()
    let sent = 0
    for (let round = 0; round < RUNS && performance.now() - startedAt < BUDGET_MS; round++) {
      for (const { method, path, query, body, answers } of OPERATIONS) {
        const at = { numRuns: 1, seed: seed + round * 1_000 }
        const allowed = round % 2 === 0
        const sample = (schema: JsonObject): Json => {
          const good = requestOf(schema)
          return fc.sample(allowed ? good : mutated(good, schema), at)[0] ?? {}
        }
        const ids = fc.sample(fc.constantFrom(...IDS), { numRuns: 4, seed: at.seed })
        const place = path.replace(/\{\w+\}/g, () => ids.pop() ?? 'a')
        const hasQuery = Object.keys(isJsonObject(query.properties) ? query.properties : {}).length > 0
        const target = hasQuery ? `${place}?${queryText(sample(query))}` : place
        const said = body === undefined ? undefined : sample(body)
        sent += 1
        const { status, text } = await send(method, target, said)
        const what = `${method} ${path}`
        const found = (why: string) => {
          if (!findings.has(why))
            findings.set(
              why,
              `${target} ${JSON.stringify(said)?.slice(0, 300) ?? ''} -> ${text.slice(0, 300)}`,
            )
        }
        if (status >= 500) found(`${what}: ${status}`)
        const shape = answers.get(status)
        if (!shape) {
          found(`${what}: the status ${status} is not published`)
          continue
        }
        const checked = shape.safeParse(JSON.parse(text))
        const isDry = text.startsWith('{"dry":true') || text.includes('"would_do"')
        if (!checked.success && !isDry)
          found(`${what}: ${status}: ${z.prettifyError(checked.error).slice(0, 300)}`)
      }
    }
    process.stderr.write(
      `fuzz over HTTP: ${sent} requests in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s\n`,
    )
    const { stderr } = serving
    await serving.kill()
    expect([...findings].map(([why, request]) => `${why} <- ${request}`)).toEqual([])
    expect(stderr()).toBe('')
  },
  60_000,
)
