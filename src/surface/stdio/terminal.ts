import { catalog } from '../../commands/registry.ts'
import { exitCodeOfReply, toEnvelope } from '../../contract/envelope.ts'
import { createDispatcher } from '../../runtime/dispatch.ts'
import { renderShell } from '../cli/render.ts'
import { formatEnvelope } from '../cli/table.ts'
import { endWith } from '../ending.ts'

const HINTS = [
  'swarm help                      lists the commands',
  'swarm prompt                    prints what to tell an agent',
  `echo '{"cmd":"status"}' | swarm    is how programs talk to it: JSON lines in, envelopes out`,
]

/** Bare `swarm` on a terminal: the status and three hints, on stderr, since stdout is for envelopes. */
export async function greet(): Promise<void> {
  const { env, stderr } = process
  const dispatcher = createDispatcher({
    catalog,
    env,
    cwd: process.cwd(),
    render: renderShell,
    surface: 'oneshot',
  })
  const accepted = await dispatcher.accept({ cmd: 'status' })
  const reply = 'ok' in accepted ? accepted : await dispatcher.run(accepted, async () => {})
  const width = stderr.columns ?? 100
  const status = formatEnvelope(toEnvelope(reply, renderShell), {
    width,
    colour: stderr.hasColors?.() ?? false,
  })
  stderr.write(`${status}\n\n${HINTS.join('\n')}\n`)
  await dispatcher.close()
  endWith(exitCodeOfReply(reply))
}
