import type { SessionOrders } from '../adapter.ts'
import { type Dialogue, output } from '../dialogue.ts'
import type { ResultReason } from '../events.ts'

/**
 * A program that reads a prompt on stdin to its end and prints text. It has no last event, so its exit code is taken for one: all the
 * more the gate decides.
 */
export function plainDialogue({ prompt, settings }: SessionOrders): Dialogue {
  let last = ''
  const whole = settings.system_prompt === undefined ? prompt : `${settings.system_prompt}\n\n${prompt}`
  return {
    open: () => ({ write: [whole], endInput: true, events: [{ kind: 'initialised' }] }),
    line(text) {
      last = text.slice(0, 1_000)
      return output('stdout', text)
    },
    send: () => undefined,
    answer: () => undefined,
    interrupt: () => undefined,
    exited({ exitCode, signal }) {
      if (signal !== null || exitCode === null) return undefined
      const ok = exitCode === 0
      const reason: ResultReason = ok ? 'completed' : 'failed'
      return { kind: 'result', ok, reason, detail: last, native: { exit_code: exitCode } }
    },
  }
}
