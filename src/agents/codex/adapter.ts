import type { Adapter, Launch, SessionOrders } from '../adapter.ts'
import { overLines } from '../dialogue.ts'
import { codexDialogue } from './dialogue.ts'
import { codexConfig, LOGIN_FILES, probeCodex } from './launch.ts'

/** Codex by its app-server: steering, approvals and limits; `codex-exec` is the fallback. */
export const codexAdapter: Adapter = {
  name: 'codex',
  steers: true,
  probe: probeCodex,
  launch(orders: SessionOrders): Launch {
    const { command = ['codex'], args = [] } = orders.settings
    return {
      argv: [...command, 'app-server', ...codexConfig(orders), ...args],
      env: {},
      loginFiles: LOGIN_FILES,
    }
  },
  converse: (orders, wires) => overLines(codexDialogue(orders), wires),
  stop: { interruptMs: 5_000, graceMs: 3_000 },
}
