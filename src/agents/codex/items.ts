import type { JsonObject } from '../../contract/json.ts'
import type { AgentEvent } from '../events.ts'
import { textOf } from '../fields.ts'
import { valueText } from '../text.ts'

/** Items that are calls of tools, with the name that rules for tools know them by. */
const TOOLS: Readonly<Record<string, string>> = {
  commandExecution: 'command',
  fileChange: 'edit',
  mcpToolCall: 'mcp',
  dynamicToolCall: 'dynamic',
  collabAgentToolCall: 'agent',
  webSearch: 'web_search',
}
const BAD = ['failed', 'declined', 'error']

/** Names of codex exec are those of the app-server with underscores. */
const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())

/** The name of the tool that an item calls; undefined for other items. */
export function toolOf(item: JsonObject): string | undefined {
  const name = TOOLS[camel(String(item.type))]
  if (name !== 'mcp') return name
  return `mcp__${textOf(item.server) ?? ''}__${textOf(item.tool) ?? ''}`
}

export function itemStarted(item: JsonObject): AgentEvent {
  const name = toolOf(item)
  if (name === undefined) return { kind: 'activity', what: `${String(item.type)} begins` }
  const input = valueText(item.command ?? item.changes ?? item.arguments ?? item.query)
  return { kind: 'tool_started', id: String(item.id), name, input }
}

export function itemCompleted(item: JsonObject): AgentEvent {
  const name = toolOf(item)
  if (name !== undefined) {
    const output = valueText(item.aggregatedOutput ?? item.aggregated_output ?? item.result ?? item.error)
    return { kind: 'tool_ended', id: String(item.id), ok: !BAD.includes(String(item.status)), output }
  }
  const type = camel(String(item.type))
  if (type === 'agentMessage') return { kind: 'output', from: 'answer', text: valueText(item.text) }
  if (type === 'reasoning') {
    const text = valueText(item.text ?? (Array.isArray(item.summary) ? item.summary.join('\n') : undefined))
    return { kind: 'output', from: 'thought', text }
  }
  // also good runs have items of this type
  if (type === 'error') return { kind: 'output', from: 'stdout', text: valueText(item.message) }
  return type === 'userMessage' || type === 'plan'
    ? { kind: 'activity', what: type }
    : { kind: 'unknown', type: `item/${type}` }
}
