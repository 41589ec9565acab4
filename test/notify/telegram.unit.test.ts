import { expect, test } from 'vitest'
import type { EventRow } from '../../src/contract/events.ts'
import type { Json, JsonObject } from '../../src/contract/json.ts'
import { answerOf, readUpdate, standingOf, updatesAfter } from '../../src/notify/answers.ts'
import { readReply } from '../../src/notify/bot-api.ts'
import { escalate, NOTHING_KNOWN, type Notice, observe } from '../../src/notify/incidents.ts'
import { Pace } from '../../src/notify/pace.ts'
import { callsFor, messageText } from '../../src/notify/telegram.ts'

const START = Date.parse('2030-01-01T00:00:00Z')
const FIRST = { chat: 42, id: 7 }
const SECOND = { chat: 42, id: 9 }

function asked(payload: JsonObject): EventRow {
  return {
    ...{ sequence: 1, payload_version: 1, event_type: 'question_asked', entity_id: 'q1', origin: 'system' },
    ...{
      timestamp: new Date(START).toISOString(),
      payload: { question_id: 'q1', ...payload } as EventRow['payload'],
    },
  }
}

/** What the log says to a question, with the clock turned on: opened, an error after an hour, resolved. */
function notices(payload: JsonObject): readonly Notice[] {
  const opened = observe(NOTHING_KNOWN, asked(payload))
  const worse = escalate(opened.known, START + 3_600_000)
  const answered = { ...asked({ answer: 'red' }), event_type: 'question_answered', sequence: 2 }
  return [...opened.notices, ...worse.notices, ...observe(worse.known, answered).notices]
}

const buttons = (body: JsonObject | undefined) =>
  (body?.reply_markup as JsonObject | undefined)?.inline_keyboard

test('a question is a message with a button an option; it is sent anew when it becomes worse, and edited when it ends', () => {
  const [opened, worse, resolved] = notices({ question: 'Which?', options: ['red', 'blue '.repeat(30)] })
  if (!opened || !worse || !resolved) throw new Error('three notices')
  const [first, ...none] = callsFor('shop', opened, 42, [], true)
  expect(none).toEqual([])
  expect(first).toMatchObject({ method: 'sendMessage', body: { chat_id: 42 } })
  expect(String(first?.body.text)).toMatch(
    /^\[shop\] warning: an agent asks: Which\?.*\nReply to this message to answer\.$/s,
  )
  expect(first?.body).not.toHaveProperty('parse_mode')
  expect(buttons(first?.body)).toEqual([
    [{ text: 'red', callback_data: 'o0' }],
    [{ text: expect.stringMatching(/^blue .{50,54}…$/), callback_data: 'o1' }],
  ])
  expect(callsFor('shop', worse, 42, [FIRST], true)).toMatchObject([
    {
      method: 'sendMessage',
      body: { reply_parameters: { message_id: 7, allow_sending_without_reply: true } },
    },
  ])
  const edits = callsFor('shop', resolved, 42, [FIRST, SECOND], true)
  expect(edits).toMatchObject([
    { method: 'editMessageText', about: FIRST, body: { chat_id: 42, message_id: 7 } },
    {
      method: 'editMessageText',
      about: SECOND,
      body: { message_id: 9, text: expect.stringMatching(/resolved: .* → red$/) },
    },
  ])
  expect(edits.map(({ body }) => buttons(body))).toEqual([[], []])
})

test('an update edits the last message alone; where answers are off there are no buttons', () => {
  const [opened] = notices({ question: 'Which?', options: ['red'] })
  if (!opened) throw new Error('a notice')
  expect(callsFor('shop', { ...opened, state: 'updated' }, 42, [FIRST, SECOND], true)).toMatchObject([
    { method: 'editMessageText', about: SECOND },
  ])
  expect(callsFor('shop', { ...opened, state: 'updated' }, 42, [], true)).toEqual([])
  const [silent] = callsFor('shop', opened, 42, [], false)
  expect(silent?.body).not.toHaveProperty('reply_markup')
  expect(String(silent?.body.text)).not.toContain('Reply')
})

test('a text is cut to 4,096 UTF-16 units with what ends it, never through a character', () => {
  expect(messageText('short')).toBe('short')
  expect(messageText(`${'x'.repeat(4_094)}😀😀`)).toBe(`${'x'.repeat(4_094)}…`)
  expect(messageText('y'.repeat(9_000), '\nend')).toMatch(/y…\nend$/)
  expect(messageText('😀'.repeat(9_000), '\nend').length).toBeLessThanOrEqual(4_096)
})

test('messages keep a second apart in a chat, three in a group, a thirtieth of a second in all, and as long as Telegram asked', () => {
  const pace = new Pace()
  expect([pace.take('1', 0), pace.take('1', 0)]).toEqual([0, 1_000])
  const other = new Pace()
  expect([other.take('-5', 0), other.take('7', 0), other.take('-5', 0)]).toEqual([0, 34, 3_000])
  other.hold('7', 0, 35_000)
  expect(other.take('7', 1_000)).toBe(34_000)
  // a busy minute: never more than thirty in any second, nor twenty in a minute of a group
  const busy = new Pace()
  const times = Array.from({ length: 100 }, (_, at) => busy.take(String(at), 0))
  expect(times.filter((ms) => ms < 1_000).length).toBeLessThanOrEqual(30)
  const group = new Pace()
  expect(Array.from({ length: 40 }, () => group.take('-9', 0)).filter((ms) => ms < 60_000)).toHaveLength(20)
})

const said = (status: number, description: string, parameters: JsonObject = {}) =>
  readReply({ status, body: JSON.stringify({ ok: false, error_code: status, description, parameters }) })

test.each([
  ['later', 429, 'Too Many Requests: retry after 35', { retry_after: 35 }],
  ['failed', 429, 'Too Many Requests', {}],
  ['closed', 401, 'Unauthorized', {}],
  ['closed', 403, 'Forbidden: bot was blocked by the user', {}],
  ['closed', 400, 'Bad Request: chat not found', {}],
  ['closed', 400, 'Bad Request: group chat was upgraded to a supergroup chat', { migrate_to_chat_id: -1007 }],
  ['closed', 400, 'Bad Request: not enough rights to send text messages to the chat', {}],
  ['same', 400, 'Bad Request: message is not modified: specified new message content', {}],
  ['gone', 400, 'Bad Request: message to edit not found', {}],
  ['gone', 400, "Bad Request: message can't be edited", {}],
  ['refused', 400, 'Bad Request: message is too long', {}],
  ['conflict', 409, 'Conflict: terminated by other getUpdates request', {}],
  ['failed', 502, 'Bad Gateway', {}],
] as const)('a reply is %s: %i %s', (kind, status, description, parameters) => {
  const reply = said(status, description, parameters)
  expect(reply).toMatchObject({ kind })
  if (kind === 'later') expect(reply).toMatchObject({ ms: 35_000 })
  if ('migrate_to_chat_id' in parameters) expect(JSON.stringify(reply)).toContain('-1007')
})

test.each([
  [200, '<html>'],
  [200, '{"ok":false}'],
  [200, '[]'],
  [302, ''],
  [500, '\u0000'],
])('what is no reply of the Bot API has failed: %i %s', (status, body) => {
  expect(readReply({ status, body }).kind).toBe('failed')
})

test('a pause that no timer can wait for is a day', () => {
  expect(said(429, 'Too Many Requests', { retry_after: 99_999_999_999 })).toMatchObject({ ms: 86_400_000 })
})

test('updates are taken once and in order, also where their numbers have begun anew', () => {
  const ids = (result: Json, had: number) => updatesAfter(result, had).fresh.map(({ id }) => id)
  const page = [9, 7, 8].map((update_id) => ({ update_id }))
  expect(ids(page, 0)).toEqual([7, 8, 9])
  expect(ids(page, 8)).toEqual([9])
  expect(ids(page, 9)).toEqual([])
  expect(updatesAfter(page, 9).last).toBe(9)
  expect(ids(page, 700_000)).toEqual([7, 8, 9])
  for (const nothing of [[], null, {}, [{ update_id: 'x' }], 'x'])
    expect(updatesAfter(nothing, 5)).toEqual({ fresh: [], last: undefined })
})

const press = (chat: JsonObject, from: JsonObject, data = 'o1') =>
  readUpdate({ update_id: 5, callback_query: { id: 'x', from, data, message: { message_id: 7, chat } } })

test.each<[string, JsonObject, JsonObject, Json, 'may' | 'nobody' | 'elsewhere']>([
  ['a private chat', { id: 42, type: 'private' }, { id: 42 }, { chat_id: 42 }, 'may'],
  ['another chat', { id: 43, type: 'private' }, { id: 43 }, { chat_id: 42 }, 'elsewhere'],
  ['its id as text', { id: -7, type: 'group' }, { id: 1 }, { chat_id: '-7' }, 'may'],
  [
    'a name, however it is written',
    { id: -9, type: 'supergroup', username: 'Ops' },
    { id: 1 },
    { chat_id: '@ops' },
    'may',
  ],
  [
    'a chat that only has the title',
    { id: -9, type: 'supergroup', title: 'ops' },
    { id: 1 },
    { chat_id: '@ops' },
    'elsewhere',
  ],
  ['a user who is named', { id: -7, type: 'group' }, { id: 1 }, { chat_id: -7, user_ids: [1, 2] }, 'may'],
  ['a user who is not', { id: -7, type: 'group' }, { id: 3 }, { chat_id: -7, user_ids: [1, 2] }, 'nobody'],
  ['a channel', { id: -7, type: 'channel' }, { id: 3 }, { chat_id: -7 }, 'nobody'],
])('who may answer: %s', (_name, chat, from, config, standing) => {
  const one = press(chat, from)
  expect(one && standingOf(one, config as { chat_id: number })).toBe(standing)
})

test('what is said is a button of the message, or the words of a reply; anything else is neither', () => {
  const options = ['red', 'blue']
  expect(answerOf(press({ id: 1 }, { id: 1 }, 'o1') ?? none(), options)).toBe('blue')
  for (const data of ['o2', 'o-1', 'o1e0', 'red', 'o', '__proto__', 'o01x'])
    expect(answerOf(press({ id: 1 }, { id: 1 }, data) ?? none(), options), data).toBeUndefined()
  const chat = { id: 42, type: 'private' }
  const reply = readUpdate({
    update_id: 6,
    message: {
      message_id: 8,
      chat,
      from: { id: 42, username: 'ann' },
      text: ' green ',
      reply_to_message: { message_id: 7, chat },
    },
  })
  expect(reply).toMatchObject({ about: 7, user: { id: 42, name: 'ann' }, by: { message: 8 } })
  expect(reply && answerOf(reply, options)).toBe('green')
  const sticker = readUpdate({
    update_id: 6,
    message: { message_id: 8, chat, from: { id: 42 }, sticker: {} },
  })
  expect(sticker && answerOf(sticker, options)).toBeUndefined()
  // an administrator who writes for the group is not the user of that number
  const group = { id: -7, type: 'group' }
  const anonymous = readUpdate({
    update_id: 6,
    message: { message_id: 8, chat: group, from: { id: 1 }, sender_chat: group, text: 'x' },
  })
  expect(anonymous && standingOf(anonymous, { chat_id: -7, user_ids: [1] })).toBe('nobody')
})

test.each<Json>([
  null,
  7,
  {},
  { update_id: 'x' },
  { update_id: -1 },
  { update_id: 1, poll: {} },
  { update_id: 1, message: [] },
  { update_id: 1, callback_query: { id: 1 } },
])('%j says nothing', (update) => expect(readUpdate(update)).toBeUndefined())

function none(): never {
  throw new Error('it says nothing')
}
