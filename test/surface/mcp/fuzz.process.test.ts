import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isErrorCode } from '../../../src/contract/errors.ts'
import { isJsonObject, type JsonObject } from '../../../src/contract/json.ts'
import { mutated, requestOf } from '../../conformance/requests.ts'
import { type Answer, mcpPlace } from './support.ts'

/** Calls of each tool and seed. */
const RUNS = 40
const BUDGET_MS = 15_000
const KEYS = new Set([
  ...['ok', 'd', 'lines', 'replayed', 'state', 'next', 'err', 'fix'],
  ...['messages', 'broadcasts', 'notices', 'unread'],
])
/** What any verb may be sent through swarm_call: reads that need nothing, and words that are no verb. */
const CMDS = [
  'status',
  'beads',
  'next',
  'describe',
  'explain',
  'claim-next',
  'batch',
  '',
  'nonsense',
  '__proto__',
]

const { repo: newRepo, open } = await mcpPlace()

/** What is wrong with an answer; undefined when nothing is. */
function flaw(answer: Answer): string | undefined {
  const { ok, err, fix } = answer
  const strange = Object.keys(answer).find((key) => !KEYS.has(key))
  if (strange !== undefined) return `an unknown key ${strange}`
  if (ok) return 'd' in answer && err === undefined && fix === undefined ? undefined : 'not an answer'
  if (!err || !isErrorCode(err.code) || typeof err.msg !== 'string') return 'not an error of the table'
  if (err.code === 'INTERNAL') return `INTERNAL: ${err.msg}`
  if (fix && (typeof fix.tool !== 'string' || !isJsonObject(fix.arguments))) return 'a fix that is no call'
  return undefined
}

/** Arguments that the schema of a tool allows, and in every other round the same with one thing wrong. */
function argumentsFor(name: string, schema: JsonObject, round: number, seed: number): JsonObject | undefined {
  const good = requestOf(schema)
  const arbitrary = round % 2 === 0 ? good : mutated(good, schema)
  const [sample] = fc.sample(arbitrary, { numRuns: 1, seed: seed + round * 1_000 })
  if (!isJsonObject(sample)) return undefined
  const cmd = CMDS[(round + seed) % CMDS.length] ?? ''
  return name === 'swarm_call' && round % 4 < 2 ? { ...sample, cmd } : sample
}

test.each([
  ['the same calls every time', 11],
  ['other calls every time', Number(process.env.SEED ?? Date.now() % 1_000_000)],
])(
  'whatever is called, the result is well formed and no fault of swarm: %s',
  async (_name, seed) => {
    process.stderr.write(`fuzz: SEED=${seed}\n`)
    const client = await open(newRepo())
    await client.ok('register', { count: 3 })
    const beads = ['a', 'b', 'c'].map((bead_id) => ({ bead_id, title: bead_id }))
    await client.ok('enqueue', { beads })
    const { tools } = await client.client.listTools()
    const findings = new Map<string, string>()
    const startedAt = performance.now()
    let sent = 0
    for (let round = 0; round < RUNS && performance.now() - startedAt < BUDGET_MS; round += 1) {
      const calls = tools.flatMap(({ name, inputSchema }) => {
        // safe: a schema that has come as JSON
        const args = argumentsFor(name, inputSchema as JsonObject, round, seed)
        return args ? [{ name, args }] : []
      })
      sent += calls.length
      // beside each other, as clients do it
      const flaws = calls.map(({ name, args }) =>
        client.call(name, args).then(flaw, (error: unknown) => `no result: ${error}`),
      )
      for (const [at, what] of (await Promise.all(flaws)).entries()) {
        const { name, args } = calls[at] ?? {}
        if (what !== undefined && !findings.has(`${name}: ${what}`))
          findings.set(`${name}: ${what}`, JSON.stringify(args).slice(0, 300))
      }
    }
    process.stderr.write(`fuzz: ${sent} calls in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s\n`)
    expect([...findings].map(([what, args]) => `${what} <- ${args}`)).toEqual([])
    expect(client.stderr()).toBe('')
  },
  60_000,
)
