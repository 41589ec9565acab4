import { afterEach, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { notifyPlaces, type Place } from '../support/notify.ts'
import { runSwarm } from '../support/swarm.ts'
import { type Shown, startTelegram } from '../support/telegram.ts'

const { url: database, sql } = await testDatabase()
const TOKEN = '12345:a-token-of-a-bot'
const { place, start } = notifyPlaces(database, { SWARM_NOTIFY_BOT: TOKEN })
const ANN = { id: 42, username: 'ann' }
const BOB = { id: 43, username: 'bob' }
const UP = [/"ready"/, /"listening"/]
const BOTH = [/"ready","target":"ann"/, /"ready","target":"team"/]

type Telegram = Awaited<ReturnType<typeof startTelegram>>
const started: Telegram[] = []

/** Telegram with a chat of Ann and a group. */
async function telegram(): Promise<Telegram> {
  const made = await startTelegram(TOKEN)
  made.chats.set(ANN.id, 'private').set(-7, 'supergroup')
  started.push(made)
  return made
}

afterEach(async () => {
  for (const one of started.splice(0)) await one.close()
})

function chat({ port }: Telegram, chatId: number, more = ''): string {
  return `kind = "telegram"\nchat_id = ${chatId}\ntoken_env = "SWARM_NOTIFY_BOT"\napi_url = "http://127.0.0.1:${port}"\nallow_private = ["127.0.0.1"]\n${more}`
}

/** Asks, and answers the id of the question. */
async function ask(where: Place, question: string, options: readonly string[] = []): Promise<string> {
  const given = options.length === 0 ? [] : ['--options', JSON.stringify(options)]
  const { envelopes } = await runSwarm(['ask', '--question', question, ...given], where)
  const envelope = envelopes.at(-1)
  if (!envelope?.ok) throw new Error(JSON.stringify(envelope))
  return (envelope.d as { question_id: string }).question_id
}

/** Says something as swarm itself does. */
async function record(where: Place, type: string, run: string, payload: Readonly<Record<string, string>>) {
  await sql`select swarm.emit_run(${where.repo}, ${type}, ${run}, null, null, null, null, ${sql.json(payload)})`
}

async function answersOf(where: Place) {
  return sql`select question_id, answer, answered_by from swarm.questions where repo_id = ${where.repo} order by asked_at`
}

const shows = ({ messages }: Telegram, text: string): Shown | undefined =>
  messages.find((one) => one.text.includes(text))

test('questions are answered by a button or a reply, once, by who may, and the message says so', async () => {
  const phone = await telegram()
  const where = place({ ann: chat(phone, ANN.id), team: chat(phone, -7, `user_ids = [${ANN.id}]`) })
  const notify = await start(where, [...BOTH, ...UP])
  const first = await ask(where, 'Which colour?', ['red', 'blue'])
  const own = await phone.until(() => phone.messages.find((one) => one.chat === ANN.id))
  const group = await phone.until(() => phone.messages.find((one) => one.chat === -7))

  for (const target of ['ann', 'team']) await notify.said(new RegExp(`"sent","target":"${target}"`))

  // who may not, who is elsewhere, and what no button says
  phone.press(group, 'red', BOB)
  phone.reply(99, own.id, 'red', BOB)
  phone.pressData(own, 'o7', ANN)
  phone.reply(ANN.id, undefined, 'hello?', ANN)
  await phone.until(() => phone.messages.some((one) => one.text.startsWith('Answer a question by')))
  await notify.said(/"ignored".*user 43 may not answer/)
  await notify.said(/"ignored".*chat 99/)
  expect(await answersOf(where)).toMatchObject([{ answer: null }])

  phone.press(own, 'blue', ANN)
  await phone.until(() => [own, group].every((one) => one.isEdited))
  expect(await answersOf(where)).toEqual([
    { question_id: first, answer: 'blue', answered_by: 'telegram:ann' },
  ])
  for (const one of [own, group]) {
    expect(one).toMatchObject({
      text: expect.stringMatching(/resolved: .*Which colour\? .* → blue$/),
      buttons: [],
    })
  }
  const told = phone.requests.filter(({ method }) => method === 'answerCallbackQuery')
  expect(told.map(({ body }) => body.text)).toEqual([
    'You may not answer here.',
    'Only words or one of the buttons can be an answer.',
    'Answered: blue',
  ])

  const second = await ask(where, 'How many?')
  const question = await phone.until(() =>
    phone.messages.find((one) => one.chat === -7 && one.text.includes('How many?')),
  )
  await notify.said(/"sent","target":"team".*How many/)
  phone.reply(-7, question.id, ' about 12 ', ANN)
  await phone.until(() => question.isEdited)
  expect((await answersOf(where))[1]).toEqual({
    question_id: second,
    answer: 'about 12',
    answered_by: 'telegram:ann',
  })
  await phone.until(() => phone.pending() === 0 && phone.polling())
  expect(await notify.end('SIGTERM')).toBe(0)
  expect(notify.lines.join('\n')).not.toContain('a-token-of-a-bot')
})

test('an incident is one message: edited as it changes, sent anew as it becomes worse, gone where somebody deleted it', async () => {
  const phone = await telegram()
  const where = place({ ann: chat(phone, ANN.id) })
  const notify = await start(where)
  await record(where, 'run_paused', 'r1', { reason: 'quota of one' })
  const first = await phone.until(() => shows(phone, 'quota of one'))
  // what stands there already is no fault
  phone.answerNext('editMessageText', {
    status: 400,
    body: { ok: false, description: 'Bad Request: message is not modified: specified new message content' },
  })
  await record(where, 'run_paused', 'r1', { reason: 'quota of two' })
  await notify.said(/"sent".*quota of two/)
  await record(where, 'run_paused', 'r1', { reason: 'quota of three' })
  await phone.until(() => first.text.includes('quota of three'))
  await record(where, 'meltdown', 'r1', { reason: 'all fail' })
  const second = await phone.until(() => shows(phone, 'melts down'))
  expect(second).toMatchObject({ replyTo: first.id, text: expect.stringContaining('critical') })
  phone.remove(second)
  await record(where, 'run_paused', 'r1', { reason: 'quota of four' })
  await notify.said(/"sent".*quota of four/)
  await record(where, 'run_resumed', 'r1', {})
  await phone.until(() => first.text.includes('resolved'))
  expect(phone.messages).toEqual([first])
  await notify.said(/"sent".*"resolved"/)
  expect(await sql`select subject from swarm.notices where repo_id = ${where.repo}`).toEqual([])
  expect(phone.requests.filter(({ method }) => method === 'sendMessage')).toHaveLength(2)
  await notify.end('SIGTERM')
})

test('a chat that is closed holds up no other, and a pause that Telegram asks for is kept', async () => {
  const phone = await telegram()
  phone.blocked.add(ANN.id)
  const where = place({ ann: chat(phone, ANN.id), team: chat(phone, -7) })
  const notify = await start(where, BOTH)
  phone.answerNext('sendMessage', {
    status: 429,
    body: { ok: false, description: `Too Many Requests for ${TOKEN}`, parameters: { retry_after: 1 } },
  })
  await ask(where, 'Which colour?')
  expect(await notify.said(/"failed".*Too Many/)).toMatch(/"again_in_ms":1000/)
  expect(await notify.said(/"closed"/)).toMatch(/"target":"ann".*blocked by the user.*"again_in_ms":3600000/)
  await phone.until(() => phone.messages.some((one) => one.chat === -7))
  phone.answerNext('sendMessage', {
    ...{ status: 400, body: { ok: false, description: 'Bad Request: REPLY_MARKUP_TOO_LONG' } },
  })
  await ask(where, 'And now?', ['yes'])
  expect(await phone.until(() => shows(phone, 'And now?'))).toMatchObject({ buttons: [] })
  expect(phone.messages.map((one) => one.chat)).toEqual([-7, -7])
  expect(await notify.end('SIGTERM')).toBe(0)
  expect(notify.lines.join('\n')).not.toContain('a-token-of-a-bot')

  const { envelopes, code, stderr } = await runSwarm(['notify', 'test', 'ann'], where)
  expect(code).not.toBe(0)
  expect(JSON.stringify(envelopes)).toMatch(/blocked by the user/)
  expect(JSON.stringify(envelopes) + stderr).not.toContain('a-token-of-a-bot')
  expect((await runSwarm(['notify', 'test', 'team'], where)).envelopes.at(-1)).toMatchObject({
    ok: true,
    d: { sent: 1 },
  })
  expect(shows(phone, 'this is a test')).toMatchObject({ chat: -7 })
})

test('an answer counts once though its reader is killed in the middle, and a message is found again', async () => {
  const phone = await telegram()
  const where = place({ ann: chat(phone, ANN.id) })
  const before = await start(where, UP)
  await ask(where, 'Which colour?', ['red', 'blue'])
  const colour = await phone.until(() => shows(phone, 'Which colour?'))
  await ask(where, 'How many?')
  const many = await phone.until(() => shows(phone, 'How many?'))
  await ask(where, 'And why?')
  const why = await phone.until(() => shows(phone, 'And why?'))
  await before.said(/"sent".*And why/)
  // killed after the answer has been recorded, before its place is kept
  phone.answerNext('answerCallbackQuery', 'nothing')
  const update = phone.press(colour, 'red', ANN)
  await phone.until(() => phone.requests.some(({ method }) => method === 'answerCallbackQuery'))
  await before.end('SIGKILL')
  phone.reply(ANN.id, many.id, '12', ANN)
  // the clock goes on meanwhile: what has been open for so long is worse now
  await sql`update swarm.notices set incident = incident || jsonb_build_object('since', (incident ->> 'since')::float8 - 5 * 3600000)
    where repo_id = ${where.repo} and incident ->> 'text' like '%And why?%'`

  const after = await start(where, UP)
  await phone.until(() => colour.isEdited && many.isEdited)
  await phone.until(() => phone.pending() === 0 && phone.polling())
  await after.said(new RegExp(`"answered".*"update":${update}`))
  expect((await answersOf(where)).map(({ answer }) => answer)).toEqual(['red', '12', null])
  const events =
    await sql`select 1 from swarm.execution_events where repo_id = ${where.repo} and event_type = 'question_answered'`
  expect(events).toHaveLength(2)
  const keys = await sql`select key from swarm.operations where repo_id = ${where.repo} and cmd = 'answer'`
  expect(keys).toMatchObject([
    { key: expect.stringMatching(new RegExp(`telegram:12345:${update}$`)) },
    { key: expect.stringMatching(new RegExp(`telegram:12345:${update + 1}$`)) },
  ])
  // nothing was sent a second time, but for what has become worse
  const worse = await phone.until(() => shows(phone, 'critical: an agent asks: And why? (open for 5 h)'))
  expect(phone.messages).toEqual([colour, many, why, worse])
  expect(worse.replyTo).toBe(why.id)
  await after.end('SIGTERM')
})

test('of two processes one tells and listens, also when the other was frozen; who listens elsewhere is given way to', async () => {
  const phone = await telegram()
  const where = place({ ann: chat(phone, ANN.id) })
  const first = await start(where, UP)
  const second = await start(where, [])
  await phone.until(() => phone.polling())
  const elsewhere = await fetch(`http://127.0.0.1:${phone.port}/bot${TOKEN}/getUpdates`, {
    ...{ method: 'POST', body: '{}' },
  })
  expect(await elsewhere.json()).toEqual({ ok: true, result: [] })
  expect(await first.said(/"conflict"/)).toMatch(/other getUpdates request.*"again_in_ms":2000/)
  await phone.until(() => phone.polling())
  expect(phone.conflicts()).toBe(1)

  first.signal('SIGSTOP')
  for (const up of UP) await second.said(up)
  await ask(where, 'Which colour?', ['red', 'blue'])
  const colour = await phone.until(() => shows(phone, 'Which colour?'))
  await second.said(/"sent"/)
  first.signal('SIGCONT')
  await first.said(/"lost","target":"ann"/)
  await first.said(/"lost","bot"/)
  phone.press(colour, 'red', ANN)
  await second.said(/"answered"/)
  await second.said(/"sent".*resolved/)
  await second.end('SIGTERM')
  await ask(where, 'And now?')
  await phone.until(() => shows(phone, 'And now?'))
  expect(phone.messages).toHaveLength(2)
  expect(await first.end('SIGTERM')).toBe(0)
})
