import { isIP } from 'node:net'
import { SwarmError } from '../../contract/errors.ts'
import { clientAddress, type IsProxy } from './address.ts'
import { Refused } from './refused.ts'

/** How this server may be reached. */
export interface Site {
  /** True when only this machine reaches it, and no proxy stands before it: then `Host` must name this machine. */
  readonly local: boolean
  /** Whose X-Forwarded-* headers are believed. */
  readonly isProxy: IsProxy
}

/** What a request says of where it comes from. Header values as they were sent. */
export interface Origins {
  readonly method: string
  readonly peer: string | undefined
  readonly header: (name: string) => string | undefined
}

/** How the client reached us. */
export interface Reached {
  readonly host: string
  readonly secure: boolean
  /** Of the client, as far as it is known. */
  readonly address: string
}

/**
 * Refuses requests that a page of another site made a browser send: a `Host` that is not this machine's name (a name that was pointed
 * here), a foreign `Origin`, a `Sec-Fetch-Site` that is not our own. `navigation`: a link to a page may be followed from anywhere.
 */
export function checkOrigin(site: Site, request: Origins, navigation: boolean): Reached {
  const reached = reachedBy(site, request)
  if (site.local && !isLoopbackName(nameOf(reached.host)))
    throw foreign('Host', 'localhost or 127.0.0.1', reached.host)
  const origin = request.header('origin')
  if (origin !== undefined && origin !== `${reached.secure ? 'https' : 'http'}://${reached.host}`)
    throw foreign('Origin', 'the server itself', origin)
  const fetched = request.header('sec-fetch-site')
  const own = fetched === undefined || fetched === 'same-origin' || fetched === 'none'
  if (!own && !navigation) throw foreign('Sec-Fetch-Site', 'same-origin', fetched)
  return reached
}

function reachedBy(site: Site, { peer, header }: Origins): Reached {
  const trusted = site.isProxy(peer)
  const forwarded = (name: string) => (trusted ? header(name)?.split(',')[0]?.trim() : undefined)
  const host = forwarded('x-forwarded-host') ?? header('host')
  if (host === undefined || !/^[A-Za-z0-9.:[\]-]{1,255}$/.test(host))
    throw foreign('Host', 'the name of the server', host ?? 'nothing')
  const address = clientAddress(site.isProxy, peer, header('x-forwarded-for'))
  return { host: host.toLowerCase(), secure: forwarded('x-forwarded-proto') === 'https', address }
}

/** True for `localhost` and the addresses that never leave this machine. */
export function isLoopbackName(name: string): boolean {
  if (name === 'localhost' || name === '::1') return true
  return isIP(name) === 4 && name.startsWith('127.')
}

function nameOf(host: string): string {
  const [, inner] = /^\[([^\]]*)\](?::\d+)?$/.exec(host) ?? []
  return inner ?? host.replace(/:\d+$/, '')
}

function foreign(field: string, expected: string, got: string): Refused {
  return new Refused(
    403,
    new SwarmError(
      'UNAUTHORIZED',
      `this request comes from elsewhere: its ${field} is not that of this server`,
      {
        ctx: { kind: 'InvalidValue', field, expected, got: got.slice(0, 255) },
      },
    ),
  )
}
