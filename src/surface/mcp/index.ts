import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { catalog } from '../../commands/registry.ts'
import { isJsonObject } from '../../contract/json.ts'
import { getLogger } from '../../logger.ts'
import { createDispatcher } from '../../runtime/dispatch.ts'
import { endWith } from '../ending.ts'
import { onStopSignal } from '../signals.ts'
import { createMcpServer } from './server.ts'
import { createMcpSession, type McpSession } from './session.ts'
import { renderCall } from './tools.ts'
import { createLineTransport } from './transport.ts'

/** `swarm mcp`: serves the Model Context Protocol on stdin and stdout until stdin ends. */
export async function runMcp(_argv: readonly string[]): Promise<void> {
  await serve(process.env)
}

async function serve(env: NodeJS.ProcessEnv): Promise<void> {
  const { stdin, stdout, stderr } = process
  // the log is the last thing a process may die of
  stderr.on('error', () => {})
  const dispatcher = createDispatcher({
    catalog,
    env,
    cwd: process.cwd(),
    render: renderCall(catalog),
    surface: 'pipe',
  })
  const onFault = (err: unknown) => getLogger().error({ err }, 'a fault while answering a request')
  const session = createMcpSession({ catalog, dispatcher, agentId: agentOf(env), onFault })
  let onDrained = () => {}
  const drained = new Promise<void>((resolve) => {
    onDrained = resolve
  })
  const transport = createLineTransport({
    input: stdin,
    output: stdout,
    onInputEnd: () => dispatcher.inputEnded(),
    onDrained,
    onOutputClosed: () => {
      dispatcher.shutdown()
      onDrained()
    },
  })
  const release = onStopSignal(() => {
    dispatcher.shutdown()
    transport.stop()
  })
  dispatcher.startRenewing()
  const instructions = prompt(session)
  const handle = serveStdio(async () => createMcpServer(session, await instructions), {
    transport,
    onerror: (err) => getLogger().warn({ err }, 'a message that cannot be used'),
  })
  await drained
  await handle.close()
  await dispatcher.close()
  release()
  stdin.destroy()
  endWith(0)
}

function agentOf({ SWARM_AGENT_ID }: NodeJS.ProcessEnv): number | undefined {
  const id = Number(SWARM_AGENT_ID || Number.NaN)
  return Number.isInteger(id) && id >= 1 ? id : undefined
}

/** The loop in words, for the model at the other end. */
async function prompt(session: McpSession): Promise<string> {
  const d = await session.ask({ cmd: 'prompt', ...(session.agentId ? { agent_id: session.agentId } : {}) })
  return isJsonObject(d) && typeof d.prompt === 'string' ? d.prompt : ''
}
