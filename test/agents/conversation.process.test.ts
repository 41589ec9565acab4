import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { agentPrompt } from '../../src/agents/prompt.ts'
import { renderLine } from '../../src/contract/envelope.ts'
import type { Json, JsonObject } from '../../src/contract/json.ts'
import { differences } from '../conformance/match.ts'
import { testDatabase } from '../support/database.ts'
import { openPipe } from '../support/swarm.ts'

interface Exchange {
  readonly who: 'agent' | 'operator'
  /** The agent's process has died and another takes its place. */
  readonly restarted?: true
  readonly send: JsonObject
  readonly d: Json
}

const { url } = await testDatabase()
const conversation: readonly Exchange[] = readFileSync(
  join(__dirname, '..', 'fixtures', 'conversation.jsonl'),
  'utf8',
)
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line))
const prompt = agentPrompt({ render: renderLine })
/** What the prompt adds to its lines in words. */
const IN_WORDS = ['name', 'artifacts']

test('the agent of the conversation asks for nothing that its prompt does not say', () => {
  const lines: JsonObject[] = (prompt.match(/\{"cmd":.*\}$/gm) ?? []).map((line) => JSON.parse(line))
  for (const { send } of conversation.filter(({ who }) => who === 'agent')) {
    const known = lines.filter(({ cmd }) => cmd === send.cmd).flatMap((line) => Object.keys(line))
    for (const field of Object.keys(send)) {
      if (IN_WORDS.includes(field)) expect(prompt).toContain(`"${field}":`)
      else expect(known, `${send.cmd} with ${field}`).toContain(field)
    }
  }
})

test('an agent that knows only its prompt does a bead through a failure and a restart', async () => {
  const env = { DATABASE_URL: url, SWARM_REPO: 'conversation' }
  const operator = openPipe(env, tmpdir())
  let agent = openPipe(env, tmpdir())
  for (const { who, restarted, send, d } of conversation) {
    if (restarted) {
      await agent.kill('SIGKILL')
      agent = openPipe(env, tmpdir())
    }
    const answer: Json = JSON.parse(JSON.stringify(await (who === 'agent' ? agent : operator).send(send)))
    expect(
      differences({ ok: true, d }, answer),
      `${JSON.stringify(send)} answered ${JSON.stringify(answer)}`,
    ).toEqual([])
  }
  expect(await agent.close()).toBe(0)
  expect(await operator.close()).toBe(0)
})
