import type { Adapter, Conversation, Probe, ProbeOrders, SessionOrders, Wires } from '../adapter.ts'
import { overLines } from '../dialogue.ts'
import { findProgram } from '../probe.ts'
import { lineDialogue } from './lines.ts'
import { plainDialogue } from './plain.ts'

/** Any command: one that speaks swarm's own lines, or one that reads a prompt and prints text. */
export const commandAdapter: Adapter = {
  name: 'command',
  steers: true,
  tellsTools: ({ protocol }) => protocol !== 'text',
  async probe({ settings, path }: ProbeOrders): Promise<Probe> {
    const name = settings.command?.[0]
    if (name === undefined)
      return { usable: false, why: 'broken', detail: 'the adapter command needs a command' }
    const program = findProgram(name, path)
    return program
      ? { usable: true, program, version: undefined, login: 'unknown' }
      : { usable: false, why: 'not_installed', detail: `${name} is not installed or not on the PATH` }
  },
  launch: ({ settings }: SessionOrders) => ({
    argv: [...(settings.command ?? []), ...(settings.args ?? [])],
    env: {},
  }),
  converse(orders: SessionOrders, wires: Wires): Conversation {
    return overLines(
      orders.settings.protocol === 'text' ? plainDialogue(orders) : lineDialogue(orders),
      wires,
    )
  },
  stop: { interruptMs: 5_000, graceMs: 3_000 },
}
