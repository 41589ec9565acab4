import { type LookupAddress, type LookupAllOptions, lookup as systemResolve } from 'node:dns'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { refusalOf } from './address.ts'

export const TIMEOUT_MS = 15_000
const LONGEST_REPLY = 65_536

export interface Posted {
  readonly status: number
  readonly retryAfter: string | undefined
  /** At most `longestReply` characters of it. */
  readonly body: string
}

export interface PostOptions {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Private addresses and networks that may be connected to. */
  readonly allowed: readonly string[]
  readonly signal: AbortSignal
  /** 15 s by default. */
  readonly timeoutMs?: number
  /** 65,536 by default. */
  readonly longestReply?: number
  /** How names are resolved: by the system unless a test says otherwise. */
  readonly resolve?: Resolve
}

type Resolve = (
  name: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

/**
 * Posts once and answers what came back, whatever its status: no redirect is followed. The addresses are checked as they are connected
 * to, so that a name which resolves differently the second time gains nothing. Throws an Error whose message says why; it holds
 * nothing of the URL but the host, since paths of such URLs are secrets.
 */
export function post(
  url: URL,
  {
    headers,
    body,
    allowed,
    signal,
    timeoutMs = TIMEOUT_MS,
    longestReply = LONGEST_REPLY,
    resolve = systemResolve,
  }: PostOptions,
): Promise<Posted> {
  const isPlain = url.protocol === 'http:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const refuse = (address: string) => {
    const refusal = refusalOf(address, allowed, isPlain)
    return refusal === undefined ? undefined : new Error(`${host} ${refusal}`)
  }
  const lookup: LookupFunction = (name, options, callback) => {
    resolve(name, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '', 0)
      const refused = addresses.map(({ address }) => refuse(address)).find((one) => one !== undefined)
      const [first] = addresses
      if (refused || !first) return callback(refused ?? new Error(`${host} has no address`), '', 0)
      if (options.all) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }
  const literal = isIP(host) === 0 ? undefined : refuse(host)
  if (literal) return Promise.reject(literal)
  return new Promise((settle, reject) => {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    const fail = (error: Error) =>
      reject(
        signal.aborted
          ? new Error('told to stop')
          : bounded.aborted
            ? new Error(`${host} did not answer within ${timeoutMs / 1_000} s`)
            : new Error(`${host}: ${'code' in error ? String(error.code) : error.message}`),
      )
    const request = (isPlain ? httpRequest : httpsRequest)(url, {
      method: 'POST',
      headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
      lookup,
      agent: false,
      signal: bounded,
    })
    request.on('error', fail)
    request.on('response', (response) => {
      let reply = ''
      response.setEncoding('utf8')
      const done = () =>
        settle({
          status: response.statusCode ?? 0,
          retryAfter: response.headers['retry-after'],
          body: reply.slice(0, longestReply),
        })
      response.on('data', (chunk: string) => {
        reply += chunk
        if (reply.length <= longestReply) return
        done()
        request.destroy()
      })
      response.on('end', done)
      response.on('error', fail)
    })
    request.end(body)
  })
}
