import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Adapter, Launch, SessionOrders } from '../adapter.ts'
import { OpencodeConversation, PASSWORD } from './conversation.ts'
import { opencodeLaunch, probeOpencode } from './launch.ts'

/** OpenCode as a server of its own for each session; `opencode-run` is the fallback. */
export const opencodeAdapter: Adapter = {
  name: 'opencode',
  steers: true,
  probe: probeOpencode,
  async launch(orders: SessionOrders): Promise<Launch> {
    const { command = ['opencode'], args = [] } = orders.settings
    const { env, ...rest } = opencodeLaunch(orders, 'ask')
    // it does not take port 0 for any port that is free
    const port = await freePort()
    return {
      argv: [...command, 'serve', '--hostname', '127.0.0.1', '--port', String(port), ...args],
      env: { ...env, [PASSWORD]: randomUUID() },
      ...rest,
    }
  },
  converse: (orders, wires, launch) => new OpencodeConversation(orders, wires, launch),
  stop: { interruptMs: 3_000, graceMs: 3_000, lingers: false },
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address ? address.port : 0
}
