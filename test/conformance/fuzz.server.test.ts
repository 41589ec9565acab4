import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { JsonObject } from '../../src/contract/json.ts'
import { isJsonObject } from '../../src/contract/json.ts'
import { decodeValue } from '../../src/wire/decode.ts'
import { openAt } from '../commands/setup-support.ts'
import { testDatabase } from '../support/database.ts'
import { mutated, requestOf } from './requests.ts'

const PROTOCOL = join(__dirname, '..', '..', 'protocol')
/** Requests for each verb and seed. */
const RUNS = 60
const BUDGET_MS = 6_000
/** They work on this machine, run commands, wait for others or make load: their own tests send them. */
const LEFT_OUT = [
  'demo',
  'import',
  'load-profile',
  'smoke',
  'agent',
  'run-once',
  'work',
  'qa',
  'doctor',
  'prune',
  'subscribe',
  'unsubscribe',
  'wait',
  'init-db',
  'init-local-db',
]

/** What a schema is about; the other refusals are rules over several fields. */
const REFUSED_BY_TYPE = ['InvalidType', 'UnknownField']

interface Definition {
  readonly name: string
  readonly effect: string
  readonly request: JsonObject
  readonly d: z.ZodType
}

const { url } = await testDatabase()
const envelope = schemaOf(read(join(PROTOCOL, 'envelope.json')))
const definitions = readdirSync(join(PROTOCOL, 'commands'))
  .map((file) => read(join(PROTOCOL, 'commands', file)))
  .filter(({ name, effect }) => effect !== 'local' && !LEFT_OUT.includes(String(name)))
  .map(({ name, effect, request, d }): Definition => {
    if (!isJsonObject(request)) throw new Error(`${name} has no request`)
    return { name: String(name), effect: String(effect), request, d: schemaOf(d) }
  })

function read(path: string): JsonObject {
  return JSON.parse(readFileSync(path, 'utf8'))
}

function schemaOf(json: unknown): z.ZodType {
  // the published schemas are JSON Schema; zod's type names only what it reads of them
  return z.fromJSONSchema(json as Parameters<typeof z.fromJSONSchema>[0])
}

test.each([
  ['the same requests every time', 7],
  ['other requests every time', Number(process.env.SEED ?? Date.now() % 1_000_000)],
])(
  'whatever is sent, the answer is of its published shape and no fault of swarm: %s',
  async (_name, seed) => {
    process.stderr.write(`fuzz: SEED=${seed}\n`)
    const place = openAt(tmpdir(), { DATABASE_URL: url, SWARM_REPO: `fuzz-${seed}` })
    await place.ask({ cmd: 'register', count: 3 })
    const beads = ['a', 'b', 'c'].map((bead_id) => ({ bead_id, title: bead_id }))
    await place.ask({ cmd: 'enqueue', beads })
    const findings = new Map<string, string>()
    const found = (what: string, request: unknown) => {
      if (!findings.has(what)) findings.set(what, JSON.stringify(request)?.slice(0, 300) ?? '')
    }
    const startedAt = performance.now()
    let sent = 0
    for (let round = 0; round < RUNS && performance.now() - startedAt < BUDGET_MS; round++) {
      for (const { name, request, d } of definitions) {
        const good = requestOf(request)
        // in turns: what the schema allows, and the same with one thing wrong
        const allowed = round % 2 === 0
        const [sample] = fc.sample(allowed ? good : mutated(good, request), {
          numRuns: 1,
          seed: seed + round * 1_000,
        })
        const decoded = decodeValue(JSON.parse(JSON.stringify(sample ?? null)))
        // what is refused before a verb sees it has its own tests
        if (decoded.error) continue
        sent += 1
        const answer = JSON.parse(JSON.stringify(await place.send(decoded.request)))
        const checked = envelope.safeParse(answer)
        if (!checked.success)
          found(`${name}: no envelope: ${z.prettifyError(checked.error).slice(0, 200)}`, sample)
        if (answer.ok && !answer.d.dry && decoded.request.cmd === name) {
          const shape = d.safeParse(answer.d)
          if (!shape.success) found(`${name}: d: ${z.prettifyError(shape.error).slice(0, 300)}`, sample)
        }
        if (!answer.ok && answer.err.code === 'INTERNAL') found(`${name}: ${answer.err.msg}`, sample)
        if (
          allowed &&
          !answer.ok &&
          REFUSED_BY_TYPE.includes(String(answer.err.ctx?.kind)) &&
          answer.err.code === 'INVALID'
        )
          found(`${name}: allowed by its schema and refused: ${answer.err.msg}`, sample)
        if (!answer.ok && answer.fix !== undefined) JSON.parse(answer.fix)
      }
    }
    process.stderr.write(
      `fuzz: ${sent} requests in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s\n`,
    )
    expect([...findings].map(([what, request]) => `${what} <- ${request}`)).toEqual([])
  },
  60_000,
)
