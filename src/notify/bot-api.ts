import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'
import { type Posted, post } from './post.ts'
import { cut } from './texts.ts'

const LONGEST_REPLY = 4_194_304
/** A day: a timer cannot wait for any number. */
const LONGEST_ASKED_S = 86_400

/**
 * What came of a request to the Bot API. `later`: asked again after `ms`; `closed`: this chat or this bot cannot be used as things are;
 * `same`: the message says that already; `gone`: the message is there no more, or cannot be edited; `conflict`: somebody else reads the
 * bot's updates; `refused`: this request will never be taken; `failed`: anything that may pass. `why` holds no secret.
 */
export type BotReply =
  | { readonly kind: 'ok'; readonly result: Json }
  | { readonly kind: 'later'; readonly why: string; readonly ms: number }
  | {
      readonly kind: 'closed' | 'same' | 'gone' | 'conflict' | 'refused' | 'failed'
      readonly why: string
    }

export interface CallOptions {
  readonly signal: AbortSignal
  /** 15 s by default. */
  readonly timeoutMs?: number
}

export interface Bot {
  /** The id of its account, which is the part of the token that is no secret. */
  readonly id: string
  /** Throws an Error without secrets when there was no reply, else answers what came. */
  call(method: string, body: JsonObject, options: CallOptions): Promise<BotReply>
}

/** Makes a bot of its token; undefined when that is none. `api` is where the Bot API is, without a slash at its end. */
export function makeBot(token: string, api: string, allowed: readonly string[]): Bot | undefined {
  const [, id, secret] = /^(\d{1,20}):([A-Za-z0-9_-]{1,180})$/.exec(token) ?? []
  if (id === undefined || secret === undefined) return undefined
  return {
    id,
    async call(method, body, { signal, timeoutMs }) {
      const posted = await post(new URL(`${api}/bot${token}/${method}`), {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        ...{ allowed, signal, longestReply: LONGEST_REPLY },
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      })
      const reply = readReply(posted)
      // whoever answers knows the token, and might say it
      return reply.kind === 'ok' ? reply : { ...reply, why: reply.why.replaceAll(secret, '…') }
    },
  }
}

const GONE = /message to edit not found|message can't be edited|MESSAGE_ID_INVALID/i
const CLOSED =
  /chat not found|upgraded to a supergroup|not enough rights|need administrator rights|have no rights|WRITE_FORBIDDEN|TOPIC_CLOSED|user is deactivated|bot was kicked/i

/** What a reply of the Bot API means. */
export function readReply({ status, body }: Pick<Posted, 'status' | 'body'>): BotReply {
  const read = parsed(body)
  if (status >= 200 && status < 300) {
    return read.ok === true
      ? { kind: 'ok', result: read.result ?? null }
      : { kind: 'failed', why: `answered ${status}, but with nothing that Telegram says` }
  }
  if (status >= 300 && status < 400) return { kind: 'failed', why: `${status}: redirects are not followed` }
  const description = typeof read.description === 'string' ? read.description : ''
  const parameters = isJsonObject(read.parameters) ? read.parameters : {}
  const why = `answered ${status}${description === '' ? '' : `: ${cut(description)}`}`
  const seconds = Number(parameters.retry_after)
  if (status === 429 && seconds > 0)
    return { kind: 'later', why, ms: Math.min(seconds, LONGEST_ASKED_S) * 1_000 }
  if (status === 409) return { kind: 'conflict', why }
  if (status === 401 || status === 403 || status === 404) return { kind: 'closed', why }
  if (status !== 400) return { kind: 'failed', why }
  if (/message is not modified/i.test(description)) return { kind: 'same', why }
  if (GONE.test(description)) return { kind: 'gone', why }
  const moved = Number(parameters.migrate_to_chat_id)
  if (Number.isSafeInteger(moved)) return { kind: 'closed', why: `${why} (chat_id is ${moved} now)` }
  return { kind: CLOSED.test(description) ? 'closed' : 'refused', why }
}

function parsed(body: string): JsonObject {
  try {
    const value: Json = JSON.parse(body)
    return isJsonObject(value) ? value : {}
  } catch {
    return {}
  }
}
