import { randomUUID } from 'node:crypto'
import type { JsonObject } from '../../contract/json.ts'
import type { Answer, SessionOrders } from '../adapter.ts'
import { type Dialogue, output, type Step } from '../dialogue.ts'
import type { AgentEvent } from '../events.ts'
import { listOf, numberOf, objectOf, parseObject, present, textOf } from '../fields.ts'
import { valueText } from '../text.ts'
import { answersByQuestion, questionOf } from './questions.ts'
import { reasonOfError, resultOf, usageOf } from './result.ts'

/** A `can_use_tool` request that waits: its input goes back with the permission. */
interface Pending {
  readonly tool: string
  readonly input: JsonObject
}

/** The stream-json of Claude Code on stdin and stdout. */
export function claudeDialogue({ prompt }: SessionOrders, now: () => number = Date.now): Dialogue {
  const pending = new Map<string, Pending>()
  const open = new Set<string>()
  /** What the last answer of the model said about a failure; the result does not repeat it. */
  let lastError: string | undefined
  let interrupted = false
  let hasAnswered = false
  let stepUsage: JsonObject = {}

  const turnEnded = (): readonly AgentEvent[] => {
    const ended = hasAnswered && open.size === 0
    if (ended) hasAnswered = false
    return ended ? [{ kind: 'turn_ended' }] : []
  }

  const assistant = (message: JsonObject): readonly AgentEvent[] => {
    lastError = textOf(message.error)
    return listOf(objectOf(message.message).content).flatMap((block): readonly AgentEvent[] => {
      const { type, text, thinking, id, name, input } = objectOf(block)
      hasAnswered = true
      if (type === 'text') return [{ kind: 'output', from: 'answer', text: valueText(text) }]
      if (type === 'thinking') return [{ kind: 'output', from: 'thought', text: valueText(thinking) }]
      if (type !== 'tool_use') return [{ kind: 'unknown', type: `assistant/${String(type)}` }]
      open.add(String(id))
      return [{ kind: 'tool_started', id: String(id), name: String(name), input: valueText(input) }]
    })
  }

  const toolResults = (message: JsonObject): readonly AgentEvent[] => {
    const ended = listOf(objectOf(message.message).content).flatMap((block): readonly AgentEvent[] => {
      const { type, tool_use_id, is_error, content } = objectOf(block)
      if (type !== 'tool_result') return []
      open.delete(String(tool_use_id))
      return [
        { kind: 'tool_ended', id: String(tool_use_id), ok: is_error !== true, output: contentText(content) },
      ]
    })
    return ended.length > 0 ? [...ended, ...turnEnded()] : [{ kind: 'activity', what: 'heard' }]
  }

  const system = (message: JsonObject): AgentEvent => {
    const { subtype, session_id, model, claude_code_version, tool_use_id } = message
    if (subtype === 'init') {
      const version = textOf(claude_code_version)
      return {
        kind: 'initialised',
        ...present({ nativeId: textOf(session_id), model: textOf(model), version }),
      }
    }
    if (subtype === 'api_retry') {
      const delay = numberOf(message.retry_delay_ms)
      const { error_status, error, attempt } = message
      return {
        kind: 'retrying',
        cause: reasonOfError(textOf(error), numberOf(error_status)),
        ...present({ attempt: numberOf(attempt), at: delay === undefined ? undefined : now() + delay }),
        detail: `${valueText(error)} ${valueText(error_status)}`.trim(),
      }
    }
    const known = subtype === 'status' || subtype === 'task_started' || subtype === 'task_notification'
    if (!known) return { kind: 'unknown', type: `system/${String(subtype)}` }
    const what = textOf(message.status) ?? String(subtype)
    return { kind: 'activity', what, ...present({ id: textOf(tool_use_id) }) }
  }

  /** Pieces of an answer that comes whole later; what they are wanted for is the sign of life and the tokens. */
  const piece = ({ event }: JsonObject): readonly AgentEvent[] => {
    const { type, usage, message } = objectOf(event)
    if (type === 'message_start') stepUsage = objectOf(objectOf(message).usage)
    if (type !== 'message_delta') return [{ kind: 'activity', what: 'answering' }]
    return [{ kind: 'usage', of: 'step', usage: usageOf({ ...stepUsage, ...objectOf(usage) }) }]
  }

  const rateLimit = (info: JsonObject): AgentEvent => {
    const resets = numberOf(info.resetsAt)
    const utilization = numberOf(info.utilization)
    if (info.status === 'allowed') return { kind: 'activity', what: 'quota is free' }
    return {
      kind: 'rate_limited',
      state: info.status === 'rejected' ? 'reached' : 'near',
      ...present({
        until: resets === undefined ? undefined : resets * 1_000,
        limit: textOf(info.rateLimitType),
        usedPercent: utilization === undefined ? undefined : utilization * 100,
      }),
    }
  }

  const controlRequest = (message: JsonObject): Step => {
    const id = String(message.request_id)
    const request = objectOf(message.request)
    if (request.subtype !== 'can_use_tool') {
      // unanswered, it would wait for ever
      const error = 'not supported by this client'
      return { write: [respond({ subtype: 'error', request_id: id, error })] }
    }
    const tool = String(request.tool_name)
    const input = objectOf(request.input)
    pending.set(id, { tool, input })
    const event: AgentEvent =
      tool === 'AskUserQuestion'
        ? { kind: 'question', id, ...questionOf(input) }
        : { kind: 'permission', id, tool, input: valueText(input) }
    return { events: [event] }
  }

  const eventsOf = (message: JsonObject): readonly AgentEvent[] => {
    switch (message.type) {
      case 'system':
        return [system(message)]
      case 'assistant':
        return assistant(message)
      case 'user':
        return toolResults(message)
      case 'stream_event':
        return piece(message)
      case 'tool_progress':
        return [
          { kind: 'activity', what: 'tool runs', ...present({ id: textOf(message.parent_tool_use_id) }) },
        ]
      case 'rate_limit_event':
        return [rateLimit(objectOf(message.rate_limit_info))]
      case 'result': {
        open.clear()
        const ended = turnEnded()
        const { usage, result } = resultOf(message, { lastError, interrupted })
        lastError = undefined
        interrupted = false
        return [...ended, { kind: 'usage', of: 'total', usage }, result]
      }
      case 'control_response':
        return [{ kind: 'activity', what: 'heard' }]
      default:
        return [{ kind: 'unknown', type: String(message.type).slice(0, 100) }]
    }
  }

  const say = (text: string): Step => ({
    write: [JSON.stringify({ type: 'user', message: { role: 'user', content: text } })],
  })

  return {
    open: () => say(prompt),
    line(text) {
      const message = parseObject(text)
      if (message === undefined || typeof message.type !== 'string') return output('stdout', text)
      return message.type === 'control_request' ? controlRequest(message) : { events: eventsOf(message) }
    },
    send: say,
    answer(id, answer) {
      const request = pending.get(id)
      if (!request) return undefined
      pending.delete(id)
      const response = { subtype: 'success', request_id: id, response: decisionOf(request, answer) }
      return { write: [respond(response)] }
    },
    interrupt() {
      interrupted = true
      const request = { subtype: 'interrupt' }
      return { write: [JSON.stringify({ type: 'control_request', request_id: randomUUID(), request })] }
    },
  }
}

const respond = (response: JsonObject) => JSON.stringify({ type: 'control_response', response })

function decisionOf({ tool, input }: Pending, answer: Answer): JsonObject {
  if (answer.kind === 'deny') return { behavior: 'deny', message: answer.reason ?? 'denied' }
  if (answer.kind === 'allow' || tool !== 'AskUserQuestion') return { behavior: 'allow', updatedInput: input }
  return { behavior: 'allow', updatedInput: { ...input, answers: answersByQuestion(input, answer.text) } }
}

/** The content of a tool result: text, or blocks of which some are text. */
function contentText(content: JsonObject[string]): string {
  if (!Array.isArray(content)) return valueText(content)
  return valueText(
    listOf(content)
      .map((block) => textOf(objectOf(block).text) ?? `[${String(objectOf(block).type)}]`)
      .join('\n'),
  )
}
