import { createDispatcher } from '../../commands/dispatch.ts'
import { loaders, verbs } from '../../commands/registry.ts'
import { exitCodeOfReply, type Reply } from '../../contract/envelope.ts'
import type { FixRequest, SwarmError } from '../../contract/errors.ts'
import type { Json } from '../../contract/json.ts'
import { encodeReply } from '../../wire/encode.ts'
import { inspect } from '../../wire/inspect.ts'
import { endWith } from '../ending.ts'
import { onStopSignal } from '../signals.ts'
import { VERSION } from '../version.ts'
import { type Catalog, loadVerb } from './catalog.ts'
import { type Format, readCommandLine } from './program.ts'
import { renderShell } from './render.ts'
import { readStdin } from './stdin.ts'

const catalog: Catalog = { verbs, loaders }

/** `swarm <command> --flags`: prints one envelope and ends with its exit code. */
export async function runCli(argv: readonly string[]): Promise<void> {
  const started = performance.now()
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
  const intent = await readCommandLine(catalog, argv, readStdin())
  switch (intent.kind) {
    case 'version':
      return answer(done({ version: VERSION }, started), intent.format, VERSION)
    case 'help':
      return help(intent.verb, intent.format, started)
    case 'refused':
      return answer(failed(intent.error, started), intent.format)
    case 'run':
      return answer(await run(intent.request, started), intent.format)
  }
}

async function run(request: FixRequest, started: number): Promise<Reply> {
  const flaw = inspect(request)
  if (flaw) return failed(flaw, started)
  const dispatcher = createDispatcher({ env: process.env, cwd: process.cwd(), render: renderShell, surface: 'oneshot' })
  const release = onStopSignal(() => dispatcher.shutdown())
  try {
    const accepted = await dispatcher.accept(request)
    return 'ok' in accepted ? accepted : await dispatcher.run(accepted)
  } finally {
    await dispatcher.close()
    release()
  }
}

async function help(verb: string | undefined, format: Format, started: number): Promise<void> {
  const { overview, verbHelp } = await import('./help.ts')
  if (verb === undefined || verb === 'help') {
    const { d, text } = overview(verbs, VERSION)
    return answer(done(d, started), format, text)
  }
  const definition = await loadVerb(catalog, verb)
  if (!definition) {
    const { refuseVerb } = await import('./mistakes.ts')
    const error = await refuseVerb(catalog, verb, [])
    return answer(failed(error, started), format)
  }
  const { d, text } = verbHelp(definition, process.stdout.columns ?? 100)
  return answer(done(d, started), format, text)
}

/** Writes the envelope, or for people: the text if there is one (they get it on a terminal too), else a table. */
async function answer(reply: Reply, format: Format, text?: string): Promise<void> {
  const { stdout } = process
  const encoded = encodeReply(reply, undefined, renderShell)
  if (text !== undefined && (format === 'table' || stdout.isTTY)) stdout.write(`${text}\n`)
  else if (format === 'table') {
    const { formatEnvelope } = await import('./table.ts')
    const { toEnvelope } = await import('../../contract/envelope.ts')
    const width = stdout.columns ?? (Number(process.env.COLUMNS) || Number.POSITIVE_INFINITY)
    const colour = stdout.isTTY === true && stdout.hasColors()
    stdout.write(`${formatEnvelope(toEnvelope(encoded.reply, renderShell), { width, colour })}\n`)
  } else stdout.write(encoded.text)
  endWith(exitCodeOfReply(encoded.reply))
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
