import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { Catalog } from '../../contract/command.ts'
import type { Dispatcher } from '../../runtime/dispatch.ts'

/** What is known of a request once it has been let in. */
export interface Asked {
  /** Undefined when it shows none. */
  readonly token: string | undefined
  /** The verbs there are. */
  readonly catalog: Catalog
  /** Of the holder that it comes from. */
  readonly dispatcher: Dispatcher
  /** True when the client speaks TLS to a proxy that is believed. */
  readonly secure: boolean
}

export interface Env {
  readonly Bindings: HttpBindings
  readonly Variables: { asked: Asked }
}

export type Ctx = Context<Env>

export function headerOf(incoming: IncomingMessage): (name: string) => string | undefined {
  return (name) => {
    const value = incoming.headers[name]
    return Array.isArray(value) ? value[0] : value
  }
}

/** Aborts when the client has gone before its answer was written, also where it had by now. */
export function goneSignal(outgoing: ServerResponse): AbortSignal {
  const gone = new AbortController()
  if (outgoing.destroyed && !outgoing.writableFinished) gone.abort()
  outgoing.once('close', () => {
    if (!outgoing.writableFinished) gone.abort()
  })
  return gone.signal
}
