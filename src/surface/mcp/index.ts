import type { Server } from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { catalog } from '../../commands/registry.ts'
import { SwarmError } from '../../contract/errors.ts'
import { isJsonObject, type Json } from '../../contract/json.ts'
import { getLogger } from '../../logger.ts'
import { createDispatcher, type Dispatcher } from '../../runtime/dispatch.ts'
import { createPrinter } from '../cli/print.ts'
import { endWith } from '../ending.ts'
import { onStopSignal } from '../signals.ts'
import { createChanges } from './changes.ts'
import { readMcpLine, USAGE } from './options.ts'
import { createMcpServer, tell } from './server.ts'
import { createMcpSession } from './session.ts'
import { renderCall } from './tools.ts'
import { createLineTransport } from './transport.ts'

/** `swarm mcp`: serves the Model Context Protocol on stdin and stdout until stdin ends, or tells a client how to start it. */
export async function runMcp(argv: readonly string[]): Promise<void> {
  const started = performance.now()
  const { env } = process
  try {
    const intent = readMcpLine(argv, env)
    if (intent.kind === 'serve') return await serve(intent.env)
    if (intent.kind === 'help') return await print({ ok: true, d: { text: USAGE } }, started, USAGE)
    const { client, args, write } = intent
    const { install } = await import('./install.ts')
    const installed = install(client, args, { write, cwd: process.cwd(), env })
    const text = write ? undefined : `# ${installed.path}\n${installed.content}`
    return await print({ ok: true, d: { ...installed } }, started, text)
  } catch (error) {
    if (!(error instanceof SwarmError)) throw error
    return await print({ ok: false, error }, started)
  }
}

type Outcome = { readonly ok: true; readonly d: Json } | { readonly ok: false; readonly error: SwarmError }

/** Prints an envelope as one-shots do, and ends with its exit code. */
async function print(outcome: Outcome, started: number, text?: string): Promise<void> {
  const times = { t: Date.now(), ms: Math.round(performance.now() - started) }
  endWith(await createPrinter('json').print({ ...outcome, ...times }, text))
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
  const agentId = agentOf(env) ?? (await agentOfToken(dispatcher, env))
  const session = createMcpSession({ catalog, dispatcher, agentId, onFault })
  const changes = createChanges(session.follow)
  let server: Server | undefined
  let stopListening: (() => void) | undefined
  let onDrained = () => {}
  const drained = new Promise<void>((resolve) => {
    onDrained = resolve
  })
  const transport = createLineTransport({
    input: stdin,
    output: stdout,
    onInputEnd: () => dispatcher.inputEnded(),
    async beforeListening() {
      stopListening ??= changes.listen((change) => server && tell(server, change))
      await changes.ready()
    },
    onListeningEnd() {
      stopListening?.()
      stopListening = undefined
    },
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
  dispatcher.startRetention()
  const instructions = session.instructions()
  const handle = serveStdio(
    async ({ era }) => {
      const hearing = era === 'modern' ? ({ by: 'listen' } as const) : ({ by: 'subscribe', changes } as const)
      server = createMcpServer(session, await instructions, hearing)
      return server
    },
    {
      transport,
      onerror: (err) => getLogger().warn({ err }, 'a message that cannot be used'),
    },
  )
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

/** Whom the token of this process stands for; undefined when that cannot be said now. */
async function agentOfToken(
  dispatcher: Dispatcher,
  { SWARM_TOKEN }: NodeJS.ProcessEnv,
): Promise<number | undefined> {
  if (!SWARM_TOKEN) return undefined
  const accepted = await dispatcher.accept({ cmd: 'hello', token: SWARM_TOKEN })
  const reply = 'ok' in accepted ? accepted : await dispatcher.run(accepted, async () => {})
  const d = reply.ok ? reply.d : undefined
  return isJsonObject(d) && typeof d.agent_id === 'number' ? d.agent_id : undefined
}
