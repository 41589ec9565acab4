import { ownLauncher, SELF } from '../../self.ts'
import type { Adapter, Probe, ProbeOrders, SessionOrders } from '../adapter.ts'
import { commandAdapter } from '../command/adapter.ts'
import { lineDialogue } from '../command/lines.ts'
import { overLines } from '../dialogue.ts'

/** The demo agent, an adapter like others. `args` is its script as JSON; `command` replaces the program. */
export const demoAdapter: Adapter = {
  name: 'demo',
  steers: true,
  async probe(orders: ProbeOrders): Promise<Probe> {
    if (orders.settings.command) return commandAdapter.probe(orders)
    const program = ownLauncher()
    return program
      ? { usable: true, program, version: undefined, login: 'yes' }
      : { usable: false, why: 'not_installed', detail: 'swarm’s own program was not found' }
  },
  launch({ settings }: SessionOrders) {
    const own = ownLauncher()
    const command = settings.command ?? (own === null ? [] : [process.execPath, own])
    return { argv: [...command, SELF.demoSession, settings.args?.[0] ?? '{}'], env: {} }
  },
  converse: (orders, wires) => overLines(lineDialogue(orders), wires),
  stop: { interruptMs: 1_000, graceMs: 1_000 },
}
