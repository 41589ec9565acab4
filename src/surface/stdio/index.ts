import { catalog } from '../../commands/registry.ts'
import { renderLine } from '../../contract/envelope.ts'
import { getLogger } from '../../logger.ts'
import { createDispatcher } from '../../runtime/dispatch.ts'
import { runSession } from '../../wire/session.ts'
import { endWith } from '../ending.ts'
import { onStopSignal } from '../signals.ts'

/** Bare `swarm` in a pipe: requests on stdin, envelopes on stdout, until stdin ends. */
export async function runStdio(): Promise<void> {
  const { stdin, stdout, stderr, env } = process
  const dispatcher = createDispatcher({
    catalog,
    env,
    cwd: process.cwd(),
    render: renderLine,
    surface: 'pipe',
  })
  const stop = new AbortController()
  const release = onStopSignal(
    () => {
      stop.abort()
      dispatcher.shutdown()
    },
    () => dispatcher.hurry(),
  )
  // the log is the last thing a process may die of
  stderr.on('error', () => {})
  dispatcher.startRenewing()
  dispatcher.startRetention()
  const { exitCode, outputError, abandoned } = await runSession({
    input: stdin,
    output: stdout,
    handler: dispatcher,
    signal: stop.signal,
    limits: dispatcher.maxLineBytes === undefined ? {} : { maxLineBytes: dispatcher.maxLineBytes },
    onInputEnd: () => dispatcher.inputEnded(),
    onOutputClosed: () => dispatcher.shutdown(),
    onFault: (err) => getLogger().error({ err }, 'a fault while answering a request'),
  })
  if (outputError) getLogger().error({ err: outputError }, 'stdout could not be written')
  await dispatcher.close()
  release()
  stdin.destroy()
  if (abandoned) process.exit(exitCode)
  endWith(exitCode)
}
