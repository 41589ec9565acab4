import type { CommandContext } from '../../contract/command.ts'
import { renderLine } from '../../contract/envelope.ts'
import { createConnections } from '../../runtime/connections.ts'
import { createDispatcher, type Dispatcher } from '../../runtime/dispatch.ts'
import { discreetly } from './discreet.ts'

/** Who sends requests: each token is a holder of its own, and so are all together who show none. */
export interface Callers {
  /** The dispatcher of a holder, shared by its requests. */
  of(token: string | undefined): Dispatcher
  /** A dispatcher of one client alone, like a socket. Close it. */
  own(token: string | undefined): Dispatcher
  /** Makes everything that waits answer. */
  shutdown(): void
  close(): Promise<void>
}

/** Holders that are remembered; the one that has rested longest is forgotten, with the claims that it could have gone on with. */
const MAX_HOLDERS = 512

/** `strict`: nothing runs without a token. What this process may do by its own environment, its callers may not. */
export function createCallers(ctx: CommandContext, strict: boolean): Callers {
  const { SWARM_TOKEN: _token, SWARM_AGENT_ID: _agent, ...rest } = ctx.env
  const env = { ...rest, SWARM_REPO: ctx.repo }
  const connections = createConnections(ctx.holder)
  const holders = new Map<string | undefined, Dispatcher>()
  const open = new Set<Dispatcher>()

  function make(token: string | undefined, shared: boolean): Dispatcher {
    const dispatcher = createDispatcher({
      catalog: ctx.catalog,
      env: token === undefined ? env : { ...env, SWARM_TOKEN: token },
      cwd: ctx.cwd,
      render: renderLine,
      surface: 'pipe',
      strict,
      remote: { connections, shared },
    })
    open.add(dispatcher)
    return {
      ...discreetly(dispatcher),
      close() {
        open.delete(dispatcher)
        return dispatcher.close()
      },
    }
  }

  return {
    of(token) {
      const found = holders.get(token)
      if (found) {
        holders.delete(token)
        holders.set(token, found)
        return found
      }
      const [oldest] = holders.keys()
      if (holders.size >= MAX_HOLDERS) {
        // what it still runs goes on: closing takes nothing from it
        holders.get(oldest)?.close()
        holders.delete(oldest)
      }
      const made = make(token, true)
      holders.set(token, made)
      return made
    },
    own: (token) => make(token, false),
    shutdown() {
      for (const dispatcher of open) dispatcher.shutdown()
    },
    async close() {
      await Promise.all([...open].map((dispatcher) => dispatcher.close()))
      await connections.close()
    },
  }
}
