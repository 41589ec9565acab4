import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { BIN } from '../support/swarm.ts'
import { makeYard, until, type Yard } from './support.ts'

const database = await testDatabase()
const yards: Yard[] = []
afterAll(() => {
  for (const { scratch } of yards) scratch.remove()
})

/**
 * An agent that asks by `swarm ask`, as any program can. The first time it goes, the second time it stays for the answer; it commits what it was told.
 */
const agent = (url: string) => `
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const say = (event, more) => console.log(JSON.stringify({ event, ...more }))
const done = (text) => {
  fs.appendFileSync('told.txt', text + '\\n')
  execFileSync('git', ['add', 'told.txt'])
  execFileSync('git', ['commit', '--quiet', '-m', 'told'])
  say('result', { ok: true, reason: 'completed', detail: 'done' })
}
const ask = (question) => execFileSync(process.execPath, [${JSON.stringify(BIN)}, 'ask', question],
  { cwd: '/', env: { ...process.env, DATABASE_URL: ${JSON.stringify(url)}, GIT_CONFIG_GLOBAL: '/dev/null' } })
say('ready', { session: 'native' })
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const told = JSON.parse(line)
  if (told.send) return done(told.send)
  if (told.prompt && told.prompt.includes('the colour is red')) return ask('Which size?')
  if (told.prompt) { ask('Which colour?'); say('result', { ok: true, reason: 'completed', detail: 'I have asked' }) }
})
`

test('who asks and goes is charged no attempt, and its bead waits for the answer; who asks and stays is told it', async () => {
  const here = await makeYard(database, {
    repo: 'asking',
    oneStage: true,
    more: `[agents.implementer]\nadapter = "command"\ncommand = [${JSON.stringify(process.execPath)}, "-e", ${JSON.stringify(agent(database.url))}]\n`,
  })
  yards.push(here)
  await here.ask('enqueue', '--json', JSON.stringify({ beads: [{ bead_id: 'b1', title: 'b1' }] }))
  const run = here.start('up', '--agents', 'implementer=1')
  const questions = async () =>
    (await here.ask<{ questions: { question_id: string; question: string }[] }>('questions')).questions
  const asked = async (question: string) => (await questions()).find((one) => one.question === question)
  await until(async () => (await here.ask<{ why?: string }>('explain', 'b1')).why === 'question')
  await here.ask('answer', (await asked('Which colour?'))?.question_id ?? '', 'the colour is red')
  await until(async () => (await asked('Which size?')) !== undefined)
  await here.ask('answer', (await asked('Which size?'))?.question_id ?? '', 'large')
  const { stdout, stderr } = await run.ended
  expect(JSON.parse(stdout).d, stderr).toMatchObject({ status: 'completed', landed: 1 })
  expect(here.scratch.git(['show', 'main:told.txt'])).toBe('The answer to the question "Which size?": large')
  const sessions = await database.sql`
    select reason, rule, attempt from swarm.agent_sessions where repo_id = 'asking' order by queued_at`
  expect(sessions).toEqual([
    { reason: 'shutdown', rule: 'asking', attempt: 1 },
    { reason: 'completed', rule: null, attempt: 1 },
  ])
}, 120_000)
