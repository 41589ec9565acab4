import type { CommandContext } from '../../contract/command.ts'
import { renderLine } from '../../contract/envelope.ts'
import { createConnections } from '../../runtime/connections.ts'
import { createDispatcher, type Dispatcher } from '../../runtime/dispatch.ts'
import { discreetly } from './discreet.ts'

/** Who sends requests: each token is a holder of its own, and so are all together who show none. */
export interface Callers {
  /** The dispatcher of a holder, shared by its requests. */
  of(token: string | undefined): Dispatcher
  /** Whether a token has been found good before. */
  knows(token: string): boolean
  /** Looks whether a token that is not known is good; then it is known. */
  meet(token: string): Promise<void>
  /** A dispatcher of one client alone, like a socket. Close it. */
  own(token: string | undefined): Dispatcher
  /** Makes everything that waits answer. */
  shutdown(): void
  close(): Promise<void>
}

/** Holders that are remembered; the one that has rested longest is forgotten, with the claims that it could have gone on with. */
const MAX_HOLDERS = 512

/** Tokens of which it is not known that they are good: they must not make swarm forget those that are. */
const MAX_STRANGERS = 64

/** `strict`: nothing runs without a token. What this process may do by its own environment, its callers may not. */
export function createCallers(ctx: CommandContext, strict: boolean): Callers {
  const { SWARM_TOKEN: _token, SWARM_AGENT_ID: _agent, ...rest } = ctx.env
  const env = { ...rest, SWARM_REPO: ctx.repo }
  const connections = createConnections(ctx.holder)
  const holders = new Map<string | undefined, Dispatcher>()
  const strangers = new Map<string | undefined, Dispatcher>()
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

  /** Finds a dispatcher, or makes it where there may be `most`. */
  function find(
    among: Map<string | undefined, Dispatcher>,
    token: string | undefined,
    most: number,
  ): Dispatcher {
    const found = among.get(token)
    if (found) {
      among.delete(token)
      among.set(token, found)
      return found
    }
    if (among.size >= most) forgetOldest(among)
    const made = make(token, true)
    among.set(token, made)
    return made
  }

  const knows = (token: string | undefined) => token === undefined || holders.has(token)
  const of = (token: string | undefined) =>
    knows(token) ? find(holders, token, MAX_HOLDERS) : find(strangers, token, MAX_STRANGERS)

  return {
    of,
    knows,
    async meet(token) {
      const dispatcher = of(token)
      const answer = await dispatcher.mayRun({ cmd: 'status' })
      if (!('principal' in answer) || !answer.principal || !strangers.delete(token)) return
      if (holders.size >= MAX_HOLDERS) forgetOldest(holders)
      holders.set(token, dispatcher)
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

function forgetOldest(among: Map<string | undefined, Dispatcher>): void {
  const [oldest] = among.keys()
  // what it still runs goes on: closing takes nothing from it
  among.get(oldest)?.close()
  among.delete(oldest)
}
