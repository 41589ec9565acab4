import type { JsonObject } from '../../contract/json.ts'
import type { Answer, SessionOrders } from '../adapter.ts'
import { type Dialogue, output, type Step } from '../dialogue.ts'
import type { AgentEvent, ResultReason, Usage } from '../events.ts'
import { listOf, numberOf, parseObject, present, textOf } from '../fields.ts'
import { valueText } from '../text.ts'

const REASONS: readonly ResultReason[] = [
  'completed',
  'failed',
  'quota',
  'overloaded',
  'auth',
  'billing',
  'budget',
  'max_turns',
  'prompt_too_long',
  'interrupted',
  'configuration',
]

/** JSON lines in both directions, for programs that are written for swarm: docs/AGENTS.md says what they hold. */
export function lineDialogue({ prompt, settings, resume }: SessionOrders): Dialogue {
  const first = present({
    prompt,
    model: settings.model,
    system_prompt: settings.system_prompt,
    resume,
  })
  const write = (value: JsonObject): Step => ({ write: [JSON.stringify(value)] })
  return {
    open: () => write(first),
    line(text) {
      const value = parseObject(text)
      const event = value && eventOf(value)
      return event ? { events: [event] } : output('stdout', text)
    },
    send: (text) => write({ send: text }),
    answer: (id, answer) => write({ answer: { id, ...fieldsOf(answer) } }),
    interrupt: () => write({ interrupt: true }),
  }
}

function fieldsOf(answer: Answer): JsonObject {
  if (answer.kind === 'text') return { text: answer.text }
  return answer.kind === 'allow' ? { allow: true } : present({ allow: false, reason: answer.reason })
}

/** The event of one line; undefined for JSON that is none of the protocol. */
function eventOf(value: JsonObject): AgentEvent | undefined {
  const id = textOf(value.id) ?? ''
  switch (value.event) {
    case 'ready':
      return {
        kind: 'initialised',
        ...present({
          nativeId: textOf(value.session),
          model: textOf(value.model),
          version: textOf(value.version),
        }),
      }
    case 'output':
      return {
        kind: 'output',
        from: value.thought === true ? 'thought' : 'answer',
        text: valueText(value.text),
      }
    case 'tool_started':
      return { kind: 'tool_started', id, name: textOf(value.name) ?? 'tool', input: valueText(value.input) }
    case 'tool_ended':
      return { kind: 'tool_ended', id, ok: value.ok !== false, output: valueText(value.output) }
    case 'activity':
      return { kind: 'activity', what: textOf(value.what) ?? 'alive', ...present({ id: textOf(value.id) }) }
    case 'usage':
      return { kind: 'usage', of: value.of === 'total' ? 'total' : 'step', usage: usageOf(value) }
    case 'rate_limited': {
      const fields = {
        until: timeOf(value.until),
        limit: textOf(value.limit),
        usedPercent: numberOf(value.used_percent),
      }
      return { kind: 'rate_limited', state: value.state === 'near' ? 'near' : 'reached', ...present(fields) }
    }
    case 'retrying':
      return {
        kind: 'retrying',
        cause: REASONS.find((reason) => reason === value.cause) ?? 'overloaded',
        ...present({ attempt: numberOf(value.attempt), at: timeOf(value.at) }),
        detail: valueText(value.detail),
      }
    case 'question': {
      const options = listOf(value.options).flatMap((option) => textOf(option) ?? [])
      return { kind: 'question', id, text: valueText(value.text), options }
    }
    case 'permission':
      return { kind: 'permission', id, tool: textOf(value.tool) ?? 'tool', input: valueText(value.input) }
    case 'turn_ended':
      return { kind: 'turn_ended' }
    case 'result': {
      const ok = value.ok === true
      const reason = REASONS.find((one) => one === value.reason) ?? (ok ? 'completed' : 'failed')
      return { kind: 'result', ok: ok && reason === 'completed', reason, detail: valueText(value.detail) }
    }
    default:
      return typeof value.event === 'string'
        ? { kind: 'unknown', type: value.event.slice(0, 100) }
        : undefined
  }
}

function usageOf(value: JsonObject): Usage {
  return present({
    input: numberOf(value.input),
    output: numberOf(value.output),
    cacheRead: numberOf(value.cache_read),
    cacheWrite: numberOf(value.cache_write),
    costUsd: numberOf(value.cost_usd),
  })
}

/** ISO 8601, as everywhere on the wire. */
function timeOf(value: JsonObject[string]): number | undefined {
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN
  return Number.isNaN(at) ? undefined : at
}
