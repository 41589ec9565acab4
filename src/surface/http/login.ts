import { SwarmError } from '../../contract/errors.ts'
import type { JsonObject } from '../../contract/json.ts'
import type { Principal } from '../../contract/roles.ts'
import { admit } from './admit.ts'
import { answerJson } from './answer.ts'
import type { AppParts } from './app-parts.ts'
import type { Ctx } from './asked.ts'
import { bodyOf } from './json-body.ts'
import { sent } from './parts.ts'
import { Refused } from './refused.ts'
import { cookieName } from './token.ts'

/** A login ends with its token, and after so long in any case. */
const LONGEST_LOGIN_S = 2_592_000

/**
 * `POST /login {token}`: the token becomes a cookie that no script reads and no other site makes a browser send. It is the token itself:
 * revoked, the login is over within seconds.
 */
export async function login(c: Ctx, parts: AppParts): Promise<Response> {
  const body = await bodyOf(c.env.incoming, parts.maxBodyBytes)
  if (!body) return sent()
  const { token } = body
  if (typeof token !== 'string' || !/^[A-Za-z0-9._~+/=-]{1,200}$/.test(token)) throw badLogin()
  const answer = await parts.callers.of(token).mayRun({ cmd: 'status' })
  if ('refusal' in answer) throw new Refused(401, answer.refusal)
  // a token that nobody has made is passed over where none is asked for
  if (!answer.principal) throw badLogin()
  const { expires_at } = answer.principal
  const left =
    expires_at === undefined ? LONGEST_LOGIN_S : Math.floor((Date.parse(expires_at) - Date.now()) / 1000)
  c.env.outgoing.setHeader('set-cookie', cookie(c, parts, token, Math.min(left, LONGEST_LOGIN_S)))
  return answerJson(c, 200, { success: true, ...shown(answer.principal) })
}

/** `POST /logout` */
export function logout(c: Ctx, parts: AppParts): Response {
  c.env.outgoing.setHeader('set-cookie', cookie(c, parts, '', 0))
  return answerJson(c, 200, { success: true })
}

/** `GET /api/whoami`: whether tokens are asked for, and whom the one of this request stands for. */
export async function whoami(c: Ctx, { repo, tokens }: AppParts): Promise<Response> {
  const principal = await admit(c.get('asked'), { cmd: 'status' })
  return answerJson(c, 200, {
    repo,
    auth: tokens ? 'tokens' : 'cooperative',
    ...(principal ? shown(principal) : {}),
  })
}

function cookie(c: Ctx, { port }: AppParts, value: string, seconds: number): string {
  const secure = c.get('asked').secure ? '; Secure' : ''
  return `${cookieName(port())}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`
}

function shown({ repo, role, agent_id, name, expires_at }: Principal): JsonObject {
  return { repo, role, agent_id, name, expires_at }
}

function badLogin(): Refused {
  return new Refused(
    401,
    new SwarmError('UNAUTHORIZED', 'this token is unknown', { ctx: { field: 'token', problem: 'unknown' } }),
  )
}
