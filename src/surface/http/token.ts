import { SwarmError } from '../../contract/errors.ts'
import { Refused } from './refused.ts'

const TOKEN = /^[A-Za-z0-9._~+/=-]{1,200}$/

/** Cookies know no ports: two servers of one machine must not take each other's. */
export function cookieName(port: number): string {
  return `swarm_${port}`
}

/**
 * The token of a request: `Authorization: Bearer` before the cookie of a login. Anything else in `Authorization` is refused, not passed
 * over: whoever sends it means to be somebody.
 */
export function tokenOf(header: (name: string) => string | undefined, cookie: string): string | undefined {
  const authorization = header('authorization')
  if (authorization === undefined) return cookieOf(header('cookie'), cookie)
  const [, token] = /^bearer +(\S+)$/i.exec(authorization.trim()) ?? []
  if (token !== undefined && TOKEN.test(token)) return token
  throw new Refused(
    401,
    new SwarmError('UNAUTHORIZED', 'a token is shown as Authorization: Bearer swarm_…', {
      ctx: { field: 'token', expected: 'Bearer and a token' },
    }),
  )
}

function cookieOf(text: string | undefined, name: string): string | undefined {
  for (const part of text?.split(';') ?? []) {
    const at = part.indexOf('=')
    if (at <= 0 || part.slice(0, at).trim() !== name) continue
    const token = part.slice(at + 1).trim()
    return TOKEN.test(token) ? token : undefined
  }
  return undefined
}
