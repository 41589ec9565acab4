import type { JsonObject } from '../../contract/json.ts'
import type { Adapter, Launch, SessionOrders } from '../adapter.ts'
import { type Dialogue, output, overLines } from '../dialogue.ts'
import type { AgentEvent } from '../events.ts'
import { reasonOfWords } from '../failures.ts'
import { numberOf, objectOf, parseObject, present, textOf } from '../fields.ts'
import { valueText } from '../text.ts'
import { itemCompleted, itemStarted } from './items.ts'
import { asksForTools, codexConfig, LOGIN_FILES, probeCodex } from './launch.ts'

/** JSON lines of `codex exec --json`: one prompt, no steering, and failures told in words. */
export function codexExecDialogue({ prompt, settings }: SessionOrders): Dialogue {
  let answer = ''
  const whole = settings.system_prompt === undefined ? prompt : `${settings.system_prompt}\n\n${prompt}`
  const failed = (text: string): AgentEvent => ({
    kind: 'result',
    ok: false,
    reason: reasonOfWords(text),
    detail: text,
  })
  const eventsOf = (message: JsonObject): readonly AgentEvent[] => {
    switch (message.type) {
      case 'thread.started':
        return [{ kind: 'initialised', ...present({ nativeId: textOf(message.thread_id) }) }]
      case 'turn.started':
        return [{ kind: 'activity', what: 'turn begins' }]
      case 'item.started':
        return [itemStarted(objectOf(message.item))]
      case 'item.updated':
        return [{ kind: 'activity', what: 'item goes on' }]
      case 'item.completed': {
        const item = objectOf(message.item)
        if (item.type === 'agent_message') answer = valueText(item.text)
        return [itemCompleted(item)]
      }
      case 'turn.completed': {
        const { input_tokens, cached_input_tokens, cache_write_input_tokens, output_tokens } = objectOf(
          message.usage,
        )
        const cacheRead = numberOf(cached_input_tokens)
        const usage = present({
          input: (numberOf(input_tokens) ?? 0) - (cacheRead ?? 0),
          output: numberOf(output_tokens),
          cacheRead,
          cacheWrite: numberOf(cache_write_input_tokens),
        })
        return [
          { kind: 'turn_ended' },
          { kind: 'usage', of: 'total', usage },
          { kind: 'result', ok: true, reason: 'completed', detail: answer },
        ]
      }
      case 'turn.failed': {
        const detail = valueText(objectOf(message.error).message)
        const quota: readonly AgentEvent[] =
          reasonOfWords(detail) === 'quota' ? [{ kind: 'rate_limited', state: 'reached' }] : []
        return [...quota, failed(detail)]
      }
      case 'error': {
        const detail = valueText(message.message)
        return /^Reconnecting/.test(detail)
          ? [{ kind: 'retrying', cause: reasonOfWords(detail), detail }]
          : [{ kind: 'output', from: 'stdout', text: detail }]
      }
      default:
        return [{ kind: 'unknown', type: String(message.type).slice(0, 100) }]
    }
  }
  return {
    open: () => ({ write: [whole], endInput: true }),
    line(text) {
      const message = parseObject(text)
      return message && typeof message.type === 'string'
        ? { events: eventsOf(message) }
        : output('stdout', text)
    },
    send: () => undefined,
    answer: () => undefined,
    interrupt: () => undefined,
  }
}

export const codexExecAdapter: Adapter = {
  name: 'codex-exec',
  steers: false,
  probe: probeCodex,
  launch(orders: SessionOrders): Launch {
    const { settings, resume } = orders
    const { command = ['codex'], args = [], model } = settings
    const start = [
      'exec',
      ...(resume === undefined ? [] : ['resume', resume]),
      '--json',
      '--skip-git-repo-check',
    ]
    const wanted = model === undefined ? [] : ['--model', model]
    // nobody can be asked: where not everything is allowed, nothing is but reading
    const rules = asksForTools(settings) ? ['-c', 'sandbox_mode="read-only"'] : []
    const never = ['-c', 'approval_policy="never"', ...rules]
    return {
      argv: [...command, ...start, ...codexConfig(orders), ...never, ...wanted, ...args, '-'],
      env: {},
      loginFiles: LOGIN_FILES,
    }
  },
  converse: (orders, wires) => overLines(codexExecDialogue(orders), wires),
  stop: { graceMs: 3_000 },
}
