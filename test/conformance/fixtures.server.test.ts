import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'
import { loaders, verbs } from '../../src/commands/registry.ts'
import type { Envelope } from '../../src/contract/envelope.ts'
import type { Json, JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { converse } from './converse.ts'
import { differences } from './match.ts'

const PROTOCOL = join(__dirname, '..', '..', 'protocol')
const FIXTURES = join(PROTOCOL, 'fixtures')

interface Exchange {
  readonly send: JsonObject
  readonly expect: Json
}

const database = await testDatabase()
const scratch = await mkdtemp(join(tmpdir(), 'swarm-fixtures-'))
afterAll(() => rm(scratch, { recursive: true, force: true }))

const schema = z.fromJSONSchema(JSON.parse(readFileSync(join(PROTOCOL, 'envelope.json'), 'utf8')))
const names = readdirSync(FIXTURES).sort()

/** Verbs that need more than an empty repo: a file, a configured gate, another request that is still open, or a run with its sessions. */
const WITHOUT_FIXTURE = [
  // a run has a random id
  ...['check-iteration', 'serve', 'start-run', 'waves'],
  ...['import', 'qa', 'replay', 'unsubscribe'],
  ...['answer', 'diff', 'down', 'extend', 'kill', 'logs', 'pause', 'steer', 'unpause', 'up', 'worker'],
]

test('every verb has a fixture, but those that work on the machine itself', async () => {
  const covered = new Set(names.map((name) => name.replace(/\.\d+\.jsonl$/, '')))
  const missing = verbs.filter(({ name }) => !covered.has(name) && !WITHOUT_FIXTURE.includes(name))
  const effects = await Promise.all(
    missing.map(async ({ name }) => `${name}: ${(await loaders[name]?.())?.effect}`),
  )
  expect(effects.filter((effect) => !effect.endsWith(': local'))).toEqual([])
})

test.each(names)('%s', async (name) => {
  const exchanges = readFixture(join(FIXTURES, name))
  const { answers, lines, stderr } = await converse(
    exchanges.map(({ send }) => send),
    { env: { DATABASE_URL: database.url, SWARM_REPO: `fixture/${name}` }, cwd: scratch },
  )
  expect(stderr).toBe('')
  expect(answers).toHaveLength(exchanges.length)
  for (const [at, { send, expect: expected }] of exchanges.entries()) {
    const answer: Json = JSON.parse(JSON.stringify(answers[at]))
    expect(
      differences(expected, answer),
      `${JSON.stringify(send)} answered ${JSON.stringify(answer)}`,
    ).toEqual([])
    expect(answers[at]?.rid).toEqual(send.rid)
    await checkOutput(send, answers[at])
  }
  for (const line of lines) expect(schema.safeParse(line).error?.issues).toBeUndefined()
})

const dryOutput = z.strictObject({ dry: z.literal(true), would_do: z.array(z.string()) })

/** `d` must be what the verb's output schema declares, and no more. */
async function checkOutput({ cmd, dry }: JsonObject, answer: Envelope | undefined): Promise<void> {
  if (!answer?.ok) return
  const command = await loaders[String(cmd)]?.()
  const output = dry === true ? dryOutput : command?.output
  expect(output?.parse(answer.d)).toEqual(answer.d)
}

function readFixture(path: string): readonly Exchange[] {
  const lines = readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  return Array.from({ length: lines.length / 2 }, (_, at) => ({ ...lines[2 * at], ...lines[2 * at + 1] }))
}
