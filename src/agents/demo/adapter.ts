import { existsSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import type { Adapter, Probe, ProbeOrders, SessionOrders } from '../adapter.ts'
import { commandAdapter } from '../command/adapter.ts'
import { lineDialogue } from '../command/lines.ts'
import { overLines } from '../dialogue.ts'

/** What makes swarm's own program the demo agent. */
const MODE = 'demo-session'

/**
 * The launcher beside the bundle; undefined where the code is part of another program, whose `argv[1]` would be started again and
 * again.
 */
function launcher(): string | undefined {
  const file = join(dirname(__filename), '..', 'bin', 'swarm')
  return extname(__filename) === '.ts' || !existsSync(file) ? undefined : file
}

/** The demo agent, an adapter like others. `args` is its script as JSON; `command` replaces the program. */
export const demoAdapter: Adapter = {
  name: 'demo',
  steers: true,
  async probe(orders: ProbeOrders): Promise<Probe> {
    if (orders.settings.command) return commandAdapter.probe(orders)
    const program = launcher()
    return program
      ? { usable: true, program, version: undefined, login: 'yes' }
      : { usable: false, why: 'not_installed', detail: 'swarm’s own program was not found' }
  },
  launch({ settings }: SessionOrders) {
    const own = launcher()
    const command = settings.command ?? (own === undefined ? [] : [process.execPath, own])
    return { argv: [...command, MODE, settings.args?.[0] ?? '{}'], env: {} }
  },
  converse: (orders, wires) => overLines(lineDialogue(orders), wires),
  stop: { interruptMs: 1_000, graceMs: 1_000 },
}
