import type { JsonObject } from '../../contract/json.ts'
import type { AgentEvent, ResultEvent, ResultReason } from '../events.ts'
import { reasonOfStatus, reasonOfWords, waitOfWords } from '../failures.ts'
import { listOf, numberOf, objectOf, present, textOf } from '../fields.ts'
import { cutText, MAX_EVENT_TEXT, valueText } from '../text.ts'

const STOPS: Readonly<Record<string, ResultReason>> = {
  end_turn: 'completed',
  cancelled: 'interrupted',
  max_turn_requests: 'max_turns',
  max_tokens: 'failed',
  refusal: 'failed',
}
const OVER = ['completed', 'failed']

/** What an agent reports while it works on a prompt. Its texts come in pieces only, and are put together here. */
export class AcpUpdates {
  #open = new Set<string>()
  /** Calls of this prompt that have been told of. */
  #seen = new Set<string>()
  #piece: { readonly from: 'answer' | 'thought'; text: string } | undefined
  #answer = ''
  #denied: string[] = []

  denied(tool: string): void {
    this.#denied.push(tool)
  }

  take(update: JsonObject): readonly AgentEvent[] {
    const kind = String(update.sessionUpdate)
    if (kind === 'agent_message_chunk') return this.#chunk('answer', update)
    if (kind === 'agent_thought_chunk') return this.#chunk('thought', update)
    const before = this.#whole()
    if (kind === 'tool_call' || kind === 'tool_call_update') return [...before, ...this.#tool(update)]
    return [...before, { kind: 'activity', what: kind }]
  }

  /** The prompt has been answered. */
  over(response: JsonObject): readonly AgentEvent[] {
    const stop = String(response.stopReason)
    const reason = STOPS[stop] ?? 'failed'
    const usage = objectOf(response.usage)
    // Gemini CLI has its own place for them
    const own = objectOf(objectOf(objectOf(response._meta).quota).token_count)
    const told = present({
      input: numberOf(usage.inputTokens ?? own.input_tokens),
      output: numberOf(usage.outputTokens ?? own.output_tokens),
      cacheRead: numberOf(usage.cachedReadTokens),
      cacheWrite: numberOf(usage.cachedWriteTokens),
    })
    const tokens: readonly AgentEvent[] =
      Object.keys(told).length > 0 ? [{ kind: 'usage', of: 'total', usage: told }] : []
    const last = this.#whole()
    const denied = this.#denied.length > 0 ? { denied: this.#denied } : {}
    const verdict: ResultEvent = {
      kind: 'result',
      ok: reason === 'completed',
      reason,
      detail: this.#answer || stop,
      native: { stop_reason: stop },
      ...denied,
    }
    this.#reset()
    return [...last, { kind: 'turn_ended' }, ...tokens, verdict]
  }

  /**
   * The prompt has ended with an error. Of quotas and the like the protocol knows words only; some agents put the status of the model's
   * service where the protocol has its code.
   */
  failed(message: string, data: string, code: unknown, now: number): readonly AgentEvent[] {
    const detail = cutText(data === '' ? message : `${message}: ${data}`)
    const last = this.#whole()
    this.#reset()
    const words = reasonOfWords(detail)
    // 500 stands for anything that has no status
    const status = typeof code === 'number' && code !== 500 ? code : undefined
    const reason = words === 'failed' ? (reasonOfStatus(status) ?? words) : words
    const wait = waitOfWords(detail)
    const until = wait === undefined ? {} : { until: now + wait }
    const quota: readonly AgentEvent[] =
      reason === 'quota' ? [{ kind: 'rate_limited', state: 'reached', ...until }] : []
    return [...last, ...quota, { kind: 'result', ok: false, reason, detail }]
  }

  #reset(): void {
    this.#open.clear()
    this.#seen.clear()
    this.#answer = ''
    this.#denied = []
  }

  #chunk(from: 'answer' | 'thought', update: JsonObject): readonly AgentEvent[] {
    const before = this.#piece && this.#piece.from !== from ? this.#whole() : []
    this.#piece ??= { from, text: '' }
    const text = textOf(objectOf(update.content).text) ?? ''
    if (this.#piece.text.length < 2 * MAX_EVENT_TEXT) this.#piece.text += text
    return [...before, { kind: 'activity', what: from === 'answer' ? 'answering' : 'thinking' }]
  }

  #whole(): readonly AgentEvent[] {
    const piece = this.#piece
    this.#piece = undefined
    if (!piece) return []
    const text = cutText(piece.text)
    if (piece.from === 'answer') this.#answer = text
    return [{ kind: 'output', from: piece.from, text }]
  }

  /** A call that an update or a permission request is about: some agents tell of it by the request alone. */
  called(call: JsonObject): readonly AgentEvent[] {
    const id = String(call.toolCallId)
    if (this.#seen.has(id)) return []
    this.#seen.add(id)
    this.#open.add(id)
    return [{ kind: 'tool_started', id, name: toolName(call), input: toolInput(call) }]
  }

  #tool(update: JsonObject): readonly AgentEvent[] {
    const id = String(update.toolCallId)
    const events = [...this.called(update)]
    if (!OVER.includes(String(update.status))) {
      return events.length > 0 ? events : [{ kind: 'activity', what: 'tool runs', id }]
    }
    this.#open.delete(id)
    events.push({ kind: 'tool_ended', id, ok: update.status === 'completed', output: contentText(update) })
    if (this.#open.size === 0) events.push({ kind: 'turn_ended' })
    return events
  }
}

/** The kind of a call (`execute`, `edit`) is what rules can name; its title is free text. */
export const toolName = (call: JsonObject): string => textOf(call.kind) ?? textOf(call.title) ?? 'tool'

export const toolInput = (call: JsonObject): string => valueText(call.rawInput ?? call.title)

function contentText({ content, rawOutput }: JsonObject): string {
  const texts = listOf(content).flatMap((entry) => textOf(objectOf(objectOf(entry).content).text) ?? [])
  return texts.length > 0 ? valueText(texts.join('\n')) : valueText(rawOutput)
}
