import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isJsonObject, type Json, type JsonObject } from '../../src/contract/json.ts'

/** A message that the bot has sent, as the chat shows it. */
export interface Shown {
  readonly chat: number
  readonly id: number
  text: string
  buttons: readonly { readonly text: string; readonly callback_data: string }[]
  readonly replyTo: number | undefined
  isEdited: boolean
}

/** How one request is answered instead: a status with a body, or not at all. */
type Instead = { readonly status: number; readonly body: JsonObject } | 'nothing'

export interface Sender {
  readonly id: number
  readonly username?: string
}

interface Poll {
  readonly offset: number
  readonly response: ServerResponse
}

/** What the documentation says that Telegram answers, for the bot of one token; and what people do in its chats. */
export async function startTelegram(token: string) {
  const chats = new Map<number, 'private' | 'group' | 'supergroup' | 'channel'>()
  const blocked = new Set<number>()
  const messages: Shown[] = []
  const requests: { readonly method: string; readonly body: JsonObject }[] = []
  const instead: { readonly method: string; readonly answer: Instead }[] = []
  const queries = new Set<string>()
  let updates: JsonObject[] = []
  let poll: Poll | undefined
  let lastUpdate = 7_000
  let lastMessage = 100
  let conflicts = 0
  const waiting: (() => void)[] = []
  const changed = () => {
    for (const wake of waiting.splice(0)) wake()
  }

  const ok = (response: ServerResponse, result: Json) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ ok: true, result }))
  }
  const no = (response: ServerResponse, status: number, description: string, more: JsonObject = {}) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ ok: false, error_code: status, description, ...more }))
  }
  const bad = (response: ServerResponse, why: string) => no(response, 400, `Bad Request: ${why}`)

  /** Gives a waiting poll what there is from its offset on; nothing is what a poll of no patience gets. */
  const serve = (isOver = false) => {
    if (!poll) return
    const { offset, response } = poll
    updates = updates.filter(({ update_id }) => Number(update_id) >= offset)
    if (updates.length === 0 && !isOver) return
    poll = undefined
    ok(response, updates)
  }

  const sentText = (body: JsonObject, response: ServerResponse) => {
    const text = typeof body.text === 'string' ? body.text : ''
    if (text === '') bad(response, 'message text is empty')
    else if (text.length > 4_096) bad(response, 'message is too long')
    else return text
    return undefined
  }
  const buttonsOf = (body: JsonObject, response: ServerResponse) => {
    const markup = isJsonObject(body.reply_markup) ? body.reply_markup : {}
    // what the test's own assertions look at
    const rows = (markup.inline_keyboard ?? []) as unknown as Shown['buttons'][]
    const buttons = rows.flat()
    if (buttons.every(({ callback_data: data }) => Buffer.byteLength(data) <= 64)) return buttons
    bad(response, 'BUTTON_DATA_INVALID')
    return undefined
  }

  const methods: Record<string, (body: JsonObject, response: ServerResponse) => void> = {
    sendMessage(body, response) {
      const chat = Number(body.chat_id)
      const type = chats.get(chat)
      if (type === undefined) return bad(response, 'chat not found')
      if (blocked.has(chat)) return no(response, 403, 'Forbidden: bot was blocked by the user')
      const text = sentText(body, response)
      const buttons = text === undefined ? undefined : buttonsOf(body, response)
      if (text === undefined || !buttons) return
      const reply = isJsonObject(body.reply_parameters) ? Number(body.reply_parameters.message_id) : undefined
      const shown = { chat, id: ++lastMessage, text, buttons, replyTo: reply, isEdited: false }
      messages.push(shown)
      ok(response, { message_id: shown.id, chat: { id: chat, type }, text })
    },
    editMessageText(body, response) {
      const shown = messages.find(({ chat, id }) => chat === body.chat_id && id === body.message_id)
      if (!shown) return bad(response, 'message to edit not found')
      const text = sentText(body, response)
      const buttons = text === undefined ? undefined : buttonsOf(body, response)
      if (text === undefined || !buttons) return
      if (text === shown.text && JSON.stringify(buttons) === JSON.stringify(shown.buttons))
        return bad(
          response,
          'message is not modified: specified new message content and reply markup are exactly the same',
        )
      Object.assign(shown, { text, buttons, isEdited: true })
      ok(response, { message_id: shown.id, text })
    },
    getUpdates(body, response) {
      if (poll) {
        conflicts += 1
        no(
          poll.response,
          409,
          'Conflict: terminated by other getUpdates request; make sure that only one bot instance is running',
        )
      }
      const mine = { offset: Number(body.offset ?? 0), response }
      poll = mine
      response.on('close', () => {
        if (poll === mine) poll = undefined
      })
      serve(Number(body.timeout ?? 0) === 0)
    },
    answerCallbackQuery(body, response) {
      if (queries.has(String(body.callback_query_id))) ok(response, true)
      else bad(response, 'query is too old and response timeout expired or query ID is invalid')
    },
    setMessageReaction: (_body, response) => ok(response, true),
  }

  const server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    request.on('end', () => {
      const [, bot, method = ''] = /^\/bot([^/]+)\/(\w+)$/.exec(request.url ?? '') ?? []
      if (bot !== token) return no(response, 401, 'Unauthorized')
      const body: Json = JSON.parse(text)
      if (!isJsonObject(body)) return bad(response, 'not an object')
      requests.push({ method, body })
      const at = instead.findIndex((one) => one.method === method)
      const answer = at < 0 ? undefined : instead.splice(at, 1)[0]?.answer
      if (answer === undefined)
        methods[method]?.(body, response) ?? (method in methods || no(response, 404, 'Not Found'))
      else if (answer !== 'nothing') response.writeHead(answer.status).end(JSON.stringify(answer.body))
      changed()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  const update = (fields: JsonObject): number => {
    const update_id = ++lastUpdate
    updates.push({ update_id, ...fields })
    serve()
    return update_id
  }
  const chatOf = (id: number): JsonObject => ({ id, type: chats.get(id) ?? 'private' })

  return {
    // a server that listens has a port
    port: (server.address() as AddressInfo).port,
    messages,
    requests,
    chats,
    blocked,
    /** How often one reader of updates has ended another. */
    conflicts: () => conflicts,
    /** Updates that no reader has confirmed yet. */
    pending: () => updates.length,
    polling: () => poll !== undefined,
    /** The next request of this method is answered so. */
    answerNext: (method: string, answer: Instead) => instead.push({ method, answer }),
    /** Waits until it is so, looked at after every request. */
    async until<T>(look: () => T | undefined | false): Promise<T> {
      for (;;) {
        const found = look()
        if (found) return found
        await new Promise<void>((resolve) => waiting.push(resolve))
      }
    },
    /** Somebody presses the button of this text. */
    press(message: Shown, text: string, from: Sender): number {
      const data = message.buttons.find((one) => one.text === text)?.callback_data ?? `no button ${text}`
      return update({ callback_query: callback(message, data, from) })
    },
    /** Somebody sends what no button of ours says. */
    pressData: (message: Shown, data: string, from: Sender) =>
      update({ callback_query: callback(message, data, from) }),
    reply: (chat: number, to: number | undefined, text: string, from: Sender) =>
      update({
        message: {
          ...{ message_id: ++lastMessage, chat: chatOf(chat), from: { ...from }, text },
          ...(to === undefined ? {} : { reply_to_message: { message_id: to, chat: chatOf(chat) } }),
        },
      }),
    /** Somebody deletes a message of the bot. */
    remove: (message: Shown) => messages.splice(messages.indexOf(message), 1),
    async close(): Promise<void> {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }

  function callback(message: Shown, data: string, from: Sender): JsonObject {
    const id = `query-${lastUpdate + 1}`
    queries.add(id)
    return { id, from: { ...from }, data, message: { message_id: message.id, chat: chatOf(message.chat) } }
  }
}
