import { createHash } from 'node:crypto'
import { SwarmError } from '../contract/errors.ts'
import type { TargetConfig } from '../contract/notify-config.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { isWanted, type Notice } from './incidents.ts'
import { type Posted, post } from './post.ts'
import { retryAfterMs } from './retry-times.ts'
import { askedPauseMs, messageText, Pace } from './telegram.ts'
import { keyOf, signedHeaders } from './webhook.ts'

type Env = Readonly<Record<string, string | undefined>>

/** What one attempt came to. `why` holds no secret. */
export type Attempt =
  | { readonly ok: true }
  | { readonly ok: false; readonly why: string; readonly askedMs: number }

/** Somebody who is told. */
export interface Target {
  readonly name: string
  readonly config: TargetConfig
  /** Whether this notice is for it. */
  wants(notice: Notice): boolean
  /** Sends once. Never throws. */
  send(repo: string, notice: Notice, signal: AbortSignal): Promise<Attempt>
}

const pace = new Pace()

/** Makes a target of its configuration; INVALID when its secret is not in the environment, or is none. */
export function makeTarget(name: string, config: TargetConfig, env: Env): Target {
  const deliver =
    config.kind === 'webhook' ? webhookSender(name, config, env) : telegramSender(name, config, env)
  return {
    name,
    config,
    wants: (notice) => isWanted(notice, config),
    async send(repo, notice, signal) {
      try {
        const posted = await deliver(repo, notice, signal)
        if (posted.status >= 200 && posted.status < 300) return { ok: true }
        const asked = Math.max(retryAfterMs(posted.retryAfter, Date.now()), askedPauseMs(posted.body))
        const isRedirect = posted.status >= 300 && posted.status < 400
        const why = isRedirect ? `${posted.status}: redirects are not followed` : `answered ${posted.status}`
        return { ok: false, why, askedMs: posted.status === 429 || posted.status === 503 ? asked : 0 }
      } catch (error) {
        return { ok: false, why: error instanceof Error ? error.message : 'failed', askedMs: 0 }
      }
    },
  }
}

type Deliver = (repo: string, notice: Notice, signal: AbortSignal) => Promise<Posted>

function webhookSender(name: string, config: TargetConfig & { kind: 'webhook' }, env: Env): Deliver {
  const key = keyOf(secretOf(name, 'secret_env', config.secret_env, env))
  if (!key) {
    throw new SwarmError('INVALID', `${config.secret_env} must be whsec_ and base64 of 24 to 64 bytes`, {
      area: 'configuration',
      ctx: { kind: 'InvalidValue', field: `notify.${name}.secret_env` },
    })
  }
  return (repo, notice, signal) => {
    const body = JSON.stringify(bodyOf(repo, notice))
    const headers = signedHeaders(key, idOf(repo, notice), Date.now(), body)
    return post(new URL(config.url), { headers, body, allowed: config.allow_private ?? [], signal })
  }
}

function telegramSender(name: string, config: TargetConfig & { kind: 'telegram' }, env: Env): Deliver {
  const token = secretOf(name, 'token_env', config.token_env, env).trim()
  if (!/^[A-Za-z0-9:_-]{1,200}$/.test(token)) {
    throw new SwarmError('INVALID', `${config.token_env} is not the token of a bot`, {
      area: 'configuration',
      ctx: { kind: 'InvalidValue', field: `notify.${name}.token_env` },
    })
  }
  const root = (config.api_url ?? 'https://api.telegram.org').replace(/\/+$/, '')
  return async (repo, notice, signal) => {
    const chat = String(config.chat_id)
    await pauseOrAbort(pace.take(chat, performance.now()), signal)
    const text = messageText(`[${repo}] ${notice.severity}: ${notice.text}`)
    return post(new URL(`${root}/bot${token}/sendMessage`), {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ chat_id: config.chat_id, text, link_preview_options: { is_disabled: true } }),
      allowed: config.allow_private ?? [],
      signal,
    })
  }
}

function secretOf(name: string, field: string, variable: string, env: Env): string {
  const value = env[variable]
  if (value) return value
  throw new SwarmError('INVALID', `the target ${name} needs ${variable} in the environment`, {
    area: 'configuration',
    ctx: { kind: 'MissingField', field: `notify.${name}.${field}` },
  })
}

/** What a webhook says. */
function bodyOf(repo: string, { state, subject, type, severity, text, at, since, event }: Notice) {
  const { bead_id, agent_id, run_id, session_id, stage } = event
  return {
    type: state === 'info' ? type : `incident.${state}`,
    timestamp: new Date(at).toISOString(),
    data: {
      ...{ repo, subject, event_type: type, severity, text, since: new Date(since).toISOString() },
      ...{ sequence: event.sequence, bead_id, agent_id, run_id, session_id, stage },
    },
  }
}

/** The same for every attempt, and when it is sent again after a crash, so that a receiver can leave out what it has had. */
function idOf(repo: string, { subject, sequence, state, severity, event }: Notice): string {
  const last = state === 'escalated' ? severity : event.sequence
  const name = [repo, subject, sequence, state, last].join('\n')
  return `msg_${createHash('sha256').update(name).digest('base64url').slice(0, 27)}`
}
