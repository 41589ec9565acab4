import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
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
/** Requests for each verb and seed, as far as the time allows; the first two come in any case. */
const RUNS = 60
const BUDGET_MS = 4_000
/** An answer that takes longer is a finding: what waits or runs until it is stopped is bounded below. */
const LONGEST_MS = 30_000

/** Always said, whatever the schema allows: verbs that wait, wait shortly, and those that run a command run one that ends. */
const SAID: Readonly<Record<string, JsonObject>> = {
  subscribe: { wait_ms: 20 },
  wait: { wait_ms: 20 },
  work: { command: ['true'], max_beads: 1 },
  'run-once': { command: ['true'] },
  agent: { command: ['true'], max_beads: 1 },
  top: { looks: 1 },
}
/** It listens until it is stopped, and cannot be asked what it would do: its own tests send it. */
const LEFT_OUT = ['serve']
/** They run until they are stopped, or make load: only what they would do is asked, as of all that work on this machine. */
const DRY = ['up', 'worker', 'smoke', 'load-profile']
/** They start processes or load the schema: asked every eighth time. */
const SELDOM = ['work', 'run-once', 'agent', 'qa', 'doctor', 'init-db']

/** What a schema is about; the other refusals are rules over several fields. */
const REFUSED_BY_TYPE = ['InvalidType', 'UnknownField']

interface Definition {
  readonly name: string
  readonly request: JsonObject
  readonly d: z.ZodType
  readonly said: JsonObject
}

const { url } = await testDatabase()
const envelope = schemaOf(read(join(PROTOCOL, 'envelope.json')))
const definitions = readdirSync(join(PROTOCOL, 'commands'))
  .map((file) => read(join(PROTOCOL, 'commands', file)))
  .filter(({ name }) => !LEFT_OUT.includes(String(name)))
  .map(({ name, effect, request, d }): Definition => {
    if (!isJsonObject(request)) throw new Error(`${name} has no request`)
    const said = DRY.includes(String(name)) || (effect === 'local' && name !== 'hello') ? { dry: true } : {}
    return { name: String(name), request, d: schemaOf(d), said: { ...SAID[String(name)], ...said } }
  })

function read(path: string): JsonObject {
  return JSON.parse(readFileSync(path, 'utf8'))
}

function schemaOf(json: unknown): z.ZodType {
  // the published schemas are JSON Schema; zod's type names only what it reads of them
  return z.fromJSONSchema(json as Parameters<typeof z.fromJSONSchema>[0])
}

/** Undefined when it takes longer. */
async function within<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  const timer = new AbortController()
  try {
    return await Promise.race([work, delay(ms, undefined, { signal: timer.signal })])
  } finally {
    timer.abort()
  }
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
    const elapsed = () => performance.now() - startedAt
    for (let round = 0; round < RUNS && (round < 2 || elapsed() < BUDGET_MS); round++) {
      for (const { name, request, d, said } of definitions) {
        if (round % 16 > 1 && SELDOM.includes(name)) continue
        if (round > 1 && elapsed() > BUDGET_MS) break
        const good = requestOf(request)
        // in turns: what the schema allows, and the same with one thing wrong
        const allowed = round % 2 === 0
        const [sample] = fc.sample(allowed ? good : mutated(good, request), {
          numRuns: 1,
          seed: seed + round * 1_000,
        })
        const bounded = isJsonObject(sample) ? { ...sample, ...said } : sample
        const decoded = decodeValue(JSON.parse(JSON.stringify(bounded ?? null)))
        // what is refused before a verb sees it has its own tests
        if (decoded.error) continue
        sent += 1
        const answered = await within(place.send(decoded.request), LONGEST_MS)
        if (answered === undefined) {
          found(`${name}: no answer in ${LONGEST_MS} ms`, sample)
          continue
        }
        const answer = JSON.parse(JSON.stringify(answered))
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
      `fuzz: ${sent} requests of ${definitions.length} verbs in ${(elapsed() / 1_000).toFixed(1)} s\n`,
    )
    expect([...findings].map(([what, request]) => `${what} <- ${request}`)).toEqual([])
  },
  180_000,
)
