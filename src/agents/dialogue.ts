import type { Exit } from '../process/index.ts'
import type { Answer, Conversation, Wires } from './adapter.ts'
import type { AgentEvent, ResultEvent } from './events.ts'
import { createLineReader } from './line-reader.ts'
import { cutText } from './text.ts'

/** What follows from one thing that was heard or asked for. */
export interface Step {
  readonly events?: readonly AgentEvent[]
  /** Lines to write, without their ends. */
  readonly write?: readonly string[]
  /** stdin ends after them. */
  readonly endInput?: boolean
}

/**
 * The state of a conversation in lines. It reads nothing and writes nothing itself, so that a recorded stream is all a test
 * needs. A method that answers undefined cannot do what was asked for.
 */
export interface Dialogue {
  open(): Step
  /** One line of stdout. */
  line(text: string): Step
  /** One line of stderr; output unless the dialogue knows better. */
  errorLine?(text: string): Step
  send(text: string): Step | undefined
  answer(id: string, answer: Answer): Step | undefined
  interrupt(): Step | undefined
  close?(): Step
  exited?(exit: Exit): ResultEvent | undefined
}

/** Leads a dialogue over the program's streams. */
export function overLines(dialogue: Dialogue, wires: Wires): Conversation {
  const { stdin, stdout, stderr, emit, room } = wires
  const take = (step: Step | undefined): boolean => {
    if (!step) return false
    for (const event of step.events ?? []) emit(event)
    if (stdin.writable) for (const line of step.write ?? []) stdin.write(`${line}\n`)
    if (step.endInput) stdin.end()
    return true
  }
  const read = async (stream: Wires['stdout'], heard: (text: string) => Step, from: 'stdout' | 'stderr') => {
    const reader = createLineReader()
    const hear = (lines: ReturnType<typeof reader.push>) => {
      for (const { text, bytes, whole } of lines) {
        take(whole ? heard(text) : output(from, `${text}\n[a line of ${bytes} bytes: too long to be read]`))
      }
    }
    try {
      for await (const chunk of stream) {
        hear(reader.push(Buffer.from(chunk)))
        await room()
      }
      hear(reader.end())
    } catch {
      // the stream was closed on the way out: there is nothing more to hear
    }
  }
  take(dialogue.open())
  const drained = Promise.all([
    read(stdout, (text) => dialogue.line(text), 'stdout'),
    read(stderr, (text) => dialogue.errorLine?.(text) ?? output('stderr', text), 'stderr'),
  ])
  return {
    drained: drained.then(() => {}),
    send: (text) => take(dialogue.send(text)),
    answer: (id, answer) => take(dialogue.answer(id, answer)),
    interrupt: () => take(dialogue.interrupt()),
    close() {
      take(dialogue.close?.())
      stdin.end()
    },
    exited: (exit) => dialogue.exited?.(exit),
  }
}

/** A line that is not of the protocol. */
export const output = (from: 'stdout' | 'stderr', text: string): Step => ({
  events: [{ kind: 'output', from, text: cutText(text) }],
})
