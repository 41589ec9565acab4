import type { JsonObject } from '../../contract/json.ts'
import type { AgentEvent, ResultEvent, ResultReason, Usage } from '../events.ts'
import { reasonOfStatus, reasonOfWords } from '../failures.ts'
import { listOf, numberOf, objectOf, present, textOf } from '../fields.ts'
import { joinQuestions } from '../questions.ts'
import { valueText } from '../text.ts'

const NAMES: Readonly<Record<string, ResultReason>> = {
  ProviderAuthError: 'auth',
  MessageAbortedError: 'interrupted',
  ContextOverflowError: 'prompt_too_long',
  ProviderModelNotFoundError: 'configuration',
}

/** Why a session or a run failed. */
export function opencodeFailure(error: JsonObject): ResultEvent {
  const data = objectOf(error.data)
  const name = textOf(error.name) ?? 'error'
  const detail = valueText(data.message) || name
  const status = numberOf(data.statusCode)
  const reason = NAMES[name] ?? reasonOfStatus(status) ?? reasonOfWords(detail)
  return { kind: 'result', ok: false, reason, detail, native: present({ error: name, status }) }
}

/** The events of the server's stream, for one session of it. Of a server's heartbeat comes nothing: it says nothing of the work. */
export class OpencodeEvents {
  readonly #session: string
  readonly #tools = new Map<string, string>()
  #error: JsonObject | undefined
  #answer = ''
  #denied: string[] = []
  /** False between prompts. */
  #working = false

  constructor(session: string) {
    this.#session = session
  }

  prompted(): void {
    this.#working = true
  }

  denied(tool: string): void {
    this.#denied.push(tool)
  }

  take(message: JsonObject): readonly AgentEvent[] {
    const properties = objectOf(message.properties)
    const isOurs = properties.sessionID === this.#session
    switch (message.type) {
      case 'permission.asked': {
        const { id, permission, patterns, metadata } = properties
        const input = valueText(objectOf(metadata).command ?? patterns)
        return [{ kind: 'permission', id: String(id), tool: String(permission), input }]
      }
      case 'question.asked':
        return [{ kind: 'question', id: String(properties.id), ...joinQuestions(questionsOf(properties)) }]
      case 'message.part.updated':
        // parts of helpers' sessions are signs of life of ours
        return isOurs ? this.#part(objectOf(properties.part)) : [{ kind: 'activity', what: 'a helper works' }]
      case 'message.part.delta':
        return [{ kind: 'activity', what: 'answering' }]
      case 'session.error':
        if (isOurs) this.#error = objectOf(properties.error)
        return []
      case 'session.status':
        return isOurs ? this.#status(objectOf(properties.status)) : []
      default:
        return []
    }
  }

  #status(status: JsonObject): readonly AgentEvent[] {
    if (status.type === 'retry') {
      const detail = valueText(status.message)
      const cause = reasonOfWords(detail)
      const fields = present({ attempt: numberOf(status.attempt), at: numberOf(status.next) })
      return [{ kind: 'retrying', cause: cause === 'failed' ? 'overloaded' : cause, ...fields, detail }]
    }
    if (status.type !== 'idle' || !this.#working) return [{ kind: 'activity', what: valueText(status.type) }]
    this.#working = false
    const denied = this.#denied.length > 0 ? { denied: this.#denied } : {}
    const result: ResultEvent = this.#error
      ? opencodeFailure(this.#error)
      : { kind: 'result', ok: true, reason: 'completed', detail: this.#answer, ...denied }
    this.#error = undefined
    this.#answer = ''
    this.#denied = []
    this.#tools.clear()
    return [result]
  }

  #part(part: JsonObject): readonly AgentEvent[] {
    const text = valueText(part.text)
    const isWhole = objectOf(part.time).end !== undefined
    switch (part.type) {
      case 'text':
        if (!isWhole) return [{ kind: 'activity', what: 'answering' }]
        this.#answer = text
        return [{ kind: 'output', from: 'answer', text }]
      case 'reasoning':
        return isWhole
          ? [{ kind: 'output', from: 'thought', text }]
          : [{ kind: 'activity', what: 'thinking' }]
      case 'tool':
        return this.#tool(part)
      case 'step-finish':
        return [{ kind: 'usage', of: 'step', usage: stepUsage(part) }, { kind: 'turn_ended' }]
      default:
        return [{ kind: 'activity', what: String(part.type) }]
    }
  }

  #tool(part: JsonObject): readonly AgentEvent[] {
    const id = String(part.callID)
    const state = objectOf(part.state)
    const status = String(state.status)
    const before = this.#tools.get(id)
    this.#tools.set(id, status)
    if (before === status || status === 'pending') return [{ kind: 'activity', what: 'tool runs', id }]
    const started: AgentEvent = {
      kind: 'tool_started',
      id,
      name: String(part.tool),
      input: valueText(state.input),
    }
    if (status === 'running') return [started]
    const ended = toolEnded(id, state)
    return before === 'running' ? [ended] : [started, ended]
  }
}

export function toolEnded(id: string, state: JsonObject): AgentEvent {
  return {
    kind: 'tool_ended',
    id,
    ok: state.status === 'completed',
    output: valueText(state.output ?? state.error),
  }
}

export function stepUsage({ tokens, cost }: JsonObject): Usage {
  const { input, output, cache } = objectOf(tokens)
  const { read, write } = objectOf(cache)
  return present({
    input: numberOf(input),
    output: numberOf(output),
    cacheRead: numberOf(read),
    cacheWrite: numberOf(write),
    costUsd: numberOf(cost),
  })
}

function questionsOf({ questions }: JsonObject) {
  return listOf(questions).map((entry) => {
    const { question, options } = objectOf(entry)
    const labels = listOf(options).flatMap((option) => textOf(objectOf(option).label) ?? [])
    return { text: textOf(question) ?? '', options: labels }
  })
}
