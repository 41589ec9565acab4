import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { claudeDialogue } from '../src/agents/claude/dialogue.ts'
import { codexDialogue } from '../src/agents/codex/dialogue.ts'
import { codexExecDialogue } from '../src/agents/codex/exec.ts'
import { lineDialogue } from '../src/agents/command/lines.ts'
import type { Dialogue } from '../src/agents/dialogue.ts'
import type { AgentEvent } from '../src/agents/events.ts'
import { opencodeRunDialogue } from '../src/agents/opencode/run.ts'
import type { AgentSettings } from '../src/contract/agents-config.ts'
import { EPOCH } from './sessions.ts'

/** What a program has said, as events by its lines. */
export interface AgentStream {
  readonly name: string
  readonly lines: readonly (readonly AgentEvent[])[]
  readonly tellsTools: boolean
}

const orders = {
  settings: { adapter: 'command' } as AgentSettings,
  prompt: 'write the file',
  cwd: '/repo',
  home: '/home/agent',
  tmp: '/tmp/agent',
  path: '/usr/bin',
}
const DIALOGUES: Readonly<Record<string, () => Dialogue>> = {
  claude: () => claudeDialogue(orders, () => EPOCH),
  codex: () => codexExecDialogue(orders),
  'codex-server': () => codexDialogue(orders),
  oc: () => opencodeRunDialogue(orders),
  lines: () => lineDialogue(orders),
}

function heard(kind: string, name: string, lines: readonly string[]): AgentStream {
  const dialogue = DIALOGUES[kind]?.()
  if (!dialogue) throw new Error(`nobody reads ${kind}`)
  dialogue.open()
  return { name, lines: lines.map((line) => dialogue.line(line).events ?? []), tellsTools: kind !== 'oc' }
}

/** Recorded streams of a directory, `<program>-<what>.jsonl`; those of programs without a dialogue in lines are left out. */
export function recorded(dir: string): readonly AgentStream[] {
  return readdirSync(dir)
    .filter((name) => name.endsWith('.jsonl'))
    .sort()
    .flatMap((name) => {
      const kind = /^[a-z]+/.exec(name)?.[0] ?? ''
      if (!Object.hasOwn(DIALOGUES, kind)) return []
      const lines = readFileSync(join(dir, name), 'utf8').split('\n').filter(Boolean)
      // the first line says how the recording was made
      return [heard(kind, name, lines.slice(1))]
    })
}

const json = (values: readonly object[]) => values.map((value) => JSON.stringify(value))

/** Streams that were written for this project: a tool or two, an error, retries, questions, in the words of each program. */
export function written(): readonly AgentStream[] {
  const says = (...content: object[]) => ({ type: 'assistant', message: { role: 'assistant', content } })
  const call = (id: string, name: string, input: object) => ({ type: 'tool_use', id, name, input })
  const gives = (id: string, content: string, is_error = false) => ({
    type: 'user',
    message: { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content, is_error }] },
  })
  const init = { type: 'system', subtype: 'init', session_id: 's-1', model: 'big' }
  const piece = (event: object) => ({ type: 'stream_event', event })
  const done = { type: 'result', subtype: 'success', is_error: false, result: 'All good.', num_turns: 2 }
  const notice = (method: string, params: object) => ({ method, params: { threadId: 't-1', ...params } })
  const command = { type: 'commandExecution', id: 'c-1', command: 'make test', status: 'inProgress' }
  const exec = {
    id: 'item_1',
    type: 'command_execution',
    command: 'make test',
    aggregated_output: '',
    exit_code: null,
  }
  const oc = (type: string, part: object) => ({ type, sessionID: 's-1', part })
  return [
    heard(
      'claude',
      'claude: one tool',
      json([
        init,
        says({ type: 'text', text: 'I test.' }),
        says(call('c1', 'Bash', { command: 'make test' })),
        gives('c1', 'ok'),
        done,
      ]),
    ),
    heard(
      'claude',
      'claude: two tools at once, pieces, an error, a retry',
      json([
        init,
        piece({ type: 'message_start', message: { usage: { input_tokens: 7, output_tokens: 1 } } }),
        piece({ type: 'content_block_delta', delta: { type: 'text_delta', text: 'Le' } }),
        says(call('c1', 'Bash', { command: 'make' }), call('c2', 'Read', { file: 'a' })),
        gives('c2', 'one'),
        gives('c1', 'failed', true),
        {
          type: 'system',
          subtype: 'api_retry',
          attempt: 1,
          max_retries: 10,
          retry_delay_ms: 500,
          error_status: 529,
          error: 'overloaded',
        },
        says(call('c3', 'Bash', { command: 'make again' })),
        gives('c3', 'ok'),
        done,
      ]),
    ),
    heard(
      'codex-server',
      'codex app-server: one command',
      json([
        { id: 1, result: {} },
        { id: 2, result: { thread: { id: 't-1' }, model: 'big' } },
        { id: 3, result: { turn: { id: 'u-1' } } },
        notice('item/started', { item: command }),
        notice('item/completed', {
          item: { ...command, status: 'completed', aggregatedOutput: 'a', exitCode: 0 },
        }),
        notice('item/completed', { item: { type: 'agentMessage', id: 'm', text: 'Done.' } }),
        notice('turn/completed', { turn: { id: 'u-1', status: 'completed', error: null } }),
      ]),
    ),
    heard(
      'codex',
      'codex exec: one command',
      json([
        { type: 'thread.started', thread_id: 't-1' },
        { type: 'turn.started' },
        { type: 'item.started', item: { ...exec, status: 'in_progress' } },
        {
          type: 'item.completed',
          item: { ...exec, aggregated_output: 'ok', exit_code: 0, status: 'completed' },
        },
        { type: 'item.completed', item: { id: 'item_2', type: 'agent_message', text: 'Done.' } },
        { type: 'turn.completed', usage: { input_tokens: 20, output_tokens: 8 } },
      ]),
    ),
    heard(
      'oc',
      'opencode run: a tool that is told of when it is over',
      json([
        oc('step_start', { type: 'step-start' }),
        oc('text', { type: 'text', text: 'I test.' }),
        oc('tool_use', {
          type: 'tool',
          tool: 'bash',
          callID: 'c1',
          state: { status: 'completed', input: { command: 'make test' }, output: 'ok' },
        }),
        oc('step_finish', { type: 'step-finish', reason: 'tool-calls', tokens: { input: 1, output: 1 } }),
        oc('step_start', { type: 'step-start' }),
        oc('text', { type: 'text', text: 'Done.' }),
        oc('step_finish', { type: 'step-finish', reason: 'stop', tokens: { input: 1, output: 1 } }),
      ]),
    ),
    heard(
      'lines',
      'lines: a tool, a question, a permission',
      json([
        { event: 'ready', session: 's-1' },
        { event: 'tool_started', id: 'c1', name: 'shell', input: 'make test' },
        { event: 'tool_ended', id: 'c1', ok: true, output: 'ok' },
        { event: 'question', id: 'q1', text: 'Which?', options: ['a', 'b'] },
        { event: 'turn_ended' },
        { event: 'permission', id: 'p1', tool: 'shell', input: 'rm a' },
        { event: 'tool_started', id: 'c2', name: 'shell', input: 'rm a' },
        { event: 'tool_ended', id: 'c2', ok: true, output: '' },
        { event: 'result', ok: true, detail: 'Done.' },
      ]),
    ),
  ]
}
