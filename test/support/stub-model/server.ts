import { createServer, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { anthropic } from './anthropic.ts'
import { chat } from './chat.ts'
import { gemini } from './gemini.ts'
import { responses } from './responses.ts'
import {
  type Asked,
  type Body,
  type Fault,
  type Format,
  fields,
  freshId,
  type Reply,
  type Scenario,
  type SeenRequest,
  type Tool,
  type ToolCall,
  type Turn,
} from './scenario.ts'

const FORMATS: readonly Format[] = [anthropic, responses, chat, gemini]
const SHELLS = /^(bash|shell|exec_command|shell_command|run_shell_command|local_shell)$/i

export interface StubModel {
  readonly port: number
  readonly url: string
  /** All requests so far. */
  readonly seen: readonly SeenRequest[]
  /** What happens from now on. */
  play(scenario: Scenario): void
  close(): void
}

/** A model server on loopback that speaks four formats and plays one scenario. */
export async function startStubModel(first: Scenario): Promise<StubModel> {
  const seen: SeenRequest[] = []
  let scenario = first
  let faults = queueOf(first)
  const server = createServer(async (req, res) => {
    const path = req.url ?? '/'
    let text = ''
    for await (const chunk of req) text += chunk
    const format = FORMATS.find((one) => one.accepts(path))
    if (!format) return fail(res, { status: 404, body: { error: { message: `no model at ${path}` } } })
    const body = bodyOf(text, path)
    const asked = format.read(path, body)
    seen.push({ format: format.name, path, headers: req.headers, purpose: asked.purpose, body })
    if (asked.purpose === 'other') return format.other(res, path)
    if (asked.purpose === 'aside') return format.send(res, body, { text: '{}', call: undefined, hang: false })
    const fault = faults.shift()
    if (fault) return fail(res, fault)
    const turn = scenario.turns[Math.min(asked.turn, scenario.turns.length - 1)] ?? { say: 'The end.' }
    if (turn.waitMs) await delay(turn.waitMs)
    format.send(res, body, replyOf(turn, asked))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    seen,
    play(next) {
      scenario = next
      faults = queueOf(next)
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

const queueOf = ({ faults = [] }: Scenario): Fault[] =>
  faults.flatMap((fault) => Array.from({ length: fault.times ?? 1 }, () => fault))

/** Gemini says in its path, not in its body, that it wants a stream. */
function bodyOf(text: string, path: string): Body {
  const body = fields(text === '' ? {} : JSON.parse(text))
  return path.includes('streamGenerateContent') ? { ...body, stream: true } : body
}

function fail(res: ServerResponse, { hang, reset, status = 500, headers = {}, body = {} }: Fault): void {
  if (hang) return
  if (reset) {
    res.socket?.destroy()
    return
  }
  res.writeHead(status, { 'content-type': 'application/json', ...headers })
  res.end(JSON.stringify(body))
}

function replyOf({ say, shell, call, hang = false }: Turn, { tools }: Asked): Reply {
  return { text: say, call: shell === undefined ? calledBy(call, tools) : shellCall(shell, tools), hang }
}

function calledBy(call: Turn['call'], tools: readonly Tool[]): ToolCall | undefined {
  if (!call) return undefined
  const tool =
    tools.find(({ name }) => name === call.tool) ??
    // some programs write the names of others' tools with underscores alone
    tools.find(({ name }) => name.replaceAll('-', '_').endsWith(call.tool.replaceAll('-', '_')))
  return {
    id: freshId('call_'),
    name: tool?.name ?? call.tool,
    namespace: tool?.namespace,
    input: call.input,
  }
}

/** The program's own tool for shell commands, with its parameters as its schema wants them. */
function shellCall(command: string, tools: readonly Tool[]): ToolCall {
  const tool = tools.find(({ name }) => SHELLS.test(name)) ?? { name: 'bash', parameters: {} }
  const properties = fields(tool.parameters.properties)
  const key = 'cmd' in properties ? 'cmd' : 'command'
  const isList = fields(properties[key]).type === 'array'
  const input = {
    [key]: isList ? ['bash', '-c', command] : command,
    ...('description' in properties ? { description: 'a scripted step' } : {}),
  }
  return { id: freshId('call_'), name: tool.name, namespace: tool.namespace, input }
}
