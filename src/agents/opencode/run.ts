import type { JsonObject } from '../../contract/json.ts'
import type { Adapter, Launch, SessionOrders } from '../adapter.ts'
import { type Dialogue, output, overLines } from '../dialogue.ts'
import type { AgentEvent, ResultEvent } from '../events.ts'
import { objectOf, parseObject, present, textOf } from '../fields.ts'
import { valueText } from '../text.ts'
import { opencodeFailure, stepUsage, toolEnded } from './events.ts'
import { opencodeLaunch, probeOpencode } from './launch.ts'

/** JSON lines of `opencode run --format json`: one prompt, no steering, tools told when they are over, retries not at all. */
export function opencodeRunDialogue({ prompt }: SessionOrders): Dialogue {
  let begun = false
  let answer = ''
  let last: ResultEvent | undefined
  const eventsOf = (message: JsonObject): readonly AgentEvent[] => {
    const part = objectOf(message.part)
    switch (message.type) {
      case 'step_start': {
        if (begun) return [{ kind: 'activity', what: 'step begins' }]
        begun = true
        return [{ kind: 'initialised', ...present({ nativeId: textOf(message.sessionID) }) }]
      }
      case 'text':
        answer = valueText(part.text)
        return [{ kind: 'output', from: 'answer', text: answer }]
      case 'reasoning':
        return [{ kind: 'output', from: 'thought', text: valueText(part.text) }]
      case 'tool_use': {
        const id = String(part.callID)
        const state = objectOf(part.state)
        const started = {
          kind: 'tool_started',
          id,
          name: String(part.tool),
          input: valueText(state.input),
        } as const
        return [started, toolEnded(id, state)]
      }
      case 'step_finish': {
        const isLast = part.reason !== 'tool-calls'
        if (isLast) last = { kind: 'result', ok: true, reason: 'completed', detail: answer }
        return [{ kind: 'usage', of: 'step', usage: stepUsage(part) }, { kind: 'turn_ended' }]
      }
      case 'error':
        last = opencodeFailure(objectOf(message.error))
        return [{ kind: 'output', from: 'stdout', text: last.detail }]
      default:
        return [{ kind: 'unknown', type: String(message.type).slice(0, 100) }]
    }
  }
  return {
    open: () => ({ write: [prompt], endInput: true }),
    line(text) {
      const message = parseObject(text)
      return message && typeof message.type === 'string'
        ? { events: eventsOf(message) }
        : output('stdout', text)
    },
    send: () => undefined,
    answer: () => undefined,
    interrupt: () => undefined,
    // a step may follow any other: only the end of the process says that none does
    exited: ({ exitCode }) => (exitCode === null ? undefined : last),
  }
}

export const opencodeRunAdapter: Adapter = {
  name: 'opencode-run',
  steers: false,
  tellsTools: () => false,
  probe: probeOpencode,
  launch(orders: SessionOrders): Launch {
    const { settings, resume } = orders
    const { command = ['opencode'], args = [], model } = settings
    const wanted = [
      ...(model === undefined ? [] : ['--model', model]),
      ...(resume === undefined ? [] : ['--session', resume]),
    ]
    return {
      argv: [...command, 'run', '--format', 'json', ...wanted, ...args],
      ...opencodeLaunch(orders, 'deny'),
    }
  },
  converse: (orders, wires) => overLines(opencodeRunDialogue(orders), wires),
  // it ignores SIGTERM once a step has begun
  stop: { graceMs: 1_000 },
}
