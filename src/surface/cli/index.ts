import '../../contract/once.ts'
import { catalog } from '../../commands/registry.ts'
import { loadVerb } from '../../contract/command.ts'
import type { Reply } from '../../contract/envelope.ts'
import type { FixRequest, SwarmError } from '../../contract/errors.ts'
import type { Json } from '../../contract/json.ts'
import { VERSION } from '../../contract/version.ts'
import { getLogger } from '../../logger.ts'
import { findRoot } from '../../root/find.ts'
import { createDispatcher } from '../../runtime/dispatch.ts'
import { guard } from '../../wire/guard.ts'
import { inspect } from '../../wire/inspect.ts'
import { endWith } from '../ending.ts'
import { KEY } from '../resident/talk.ts'
import { onStopSignal } from '../signals.ts'
import { createPrinter } from './print.ts'
import { type Format, readCommandLine } from './program.ts'
import { renderShell } from './render.ts'
import { readStdin } from './stdin.ts'

/** `swarm <command> --flags`: prints one envelope and ends with its exit code. */
export async function runCli(argv: readonly string[]): Promise<void> {
  const started = performance.now()
  // the log is the last thing a process may die of
  process.stderr.on('error', () => {})
  const intent = await readCommandLine(catalog, argv, readStdin())
  const { format } = intent
  switch (intent.kind) {
    case 'version':
      return endWith(await createPrinter(format).print(done({ version: VERSION }, started), VERSION))
    case 'help':
      return endWith(await help(intent.verb, format, started))
    case 'refused':
      return endWith(await createPrinter(format).print(failed(intent.error, started)))
    case 'run':
      return endWith(await run(intent.request, format, started))
  }
}

async function run(request: FixRequest, format: Format, started: number): Promise<number> {
  const flaw = inspect(request)
  if (flaw) return createPrinter(format).print(failed(flaw, started))
  const { env, stderr } = process
  const dispatcher = createDispatcher({
    catalog,
    env,
    cwd: process.cwd(),
    render: renderShell,
    surface: 'oneshot',
    operationKey: sentBefore(),
    echo: stderr,
    serve: async (...args) => (await import('../http/index.ts')).serve(...args),
  })
  const handler = guard(dispatcher, (err) => getLogger().error({ err }, 'a fault while answering a request'))
  const printer = createPrinter(format, () => dispatcher.shutdown())
  const release = onStopSignal(
    () => {
      dispatcher.shutdown()
      printer.hurry()
    },
    () => dispatcher.hurry(),
  )
  dispatcher.startRetention()
  let stopResident = async () => {}
  try {
    const accepted = await handler.accept(request)
    if ('ok' in accepted) return await printer.print(accepted)
    stopResident = await reside(accepted.command.resides === true)
    const live = process.stdout.isTTY ? await pictureOf(accepted.command.name) : undefined
    if (live) {
      const { runWatched, textAfter } = await import('./watch.ts')
      const reply = await runWatched(handler, accepted, live)
      const text = textAfter(reply)
      return text === '' ? 0 : await printer.print(reply, text)
    }
    const reply = await handler.run(accepted, async (lines) => {
      for (const line of lines) await printer.print(line)
      await printer.ready()
    })
    return await printer.print(reply)
  } finally {
    await stopResident()
    await dispatcher.close()
    release()
  }
}

/** Verbs that are watched on a terminal. */
const WATCHED = ['top', 'up']

async function pictureOf(verb: string) {
  if (!WATCHED.includes(verb) || process.env.TERM === 'dumb') return undefined
  return (await import('./live.ts')).createLive(process.stdout)
}

/** Has a process that stays answer the one-shot calls of its root too. */
async function reside(stays: boolean): Promise<() => Promise<void>> {
  const { env } = process
  const root = stays && env.SWARM_RESIDENT !== '0' ? findRoot(process.cwd(), env) : null
  if (root === null) return async () => {}
  const { startResident } = await import('../resident/serve.ts')
  return startResident({ catalog, env, root, holder: `resident-${process.pid}` })
}

/** The key under which a resident may have made this very write, before it fell silent. */
function sentBefore(): string | undefined {
  const key: unknown = Reflect.get(globalThis, KEY)
  return typeof key === 'string' ? key : undefined
}

async function help(verb: string | undefined, format: Format, started: number): Promise<number> {
  const printer = createPrinter(format)
  const { overview, verbHelp } = await import('./help.ts')
  if (verb === undefined || verb === 'help') {
    const text = overview(catalog.verbs, VERSION)
    return printer.print(done({ text }, started), text)
  }
  const definition = await loadVerb(catalog, verb)
  if (!definition) {
    const { refuseVerb } = await import('./mistakes.ts')
    return printer.print(failed(await refuseVerb(catalog, verb, []), started))
  }
  const text = verbHelp(definition, process.stdout.columns ?? 100)
  return printer.print(done({ text }, started), text)
}

function done(d: Json, started: number): Reply {
  return { ok: true, ...times(started), d }
}

function failed(error: SwarmError, started: number): Reply {
  return { ok: false, ...times(started), error }
}

function times(started: number): { t: number; ms: number } {
  return { t: Date.now(), ms: Math.round(performance.now() - started) }
}
