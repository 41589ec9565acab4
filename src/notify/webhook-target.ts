import { createHash } from 'node:crypto'
import { SwarmError } from '../contract/errors.ts'
import type { WebhookConfig } from '../contract/notify-config.ts'
import { isWanted, type Notice } from './incidents.ts'
import { post } from './post.ts'
import { retryAfterMs } from './retry-times.ts'
import type { Target } from './target.ts'
import { keyOf, signedHeaders } from './webhook.ts'

/** Somebody who is told by a webhook. INVALID when the secret is none. */
export function webhookTarget(name: string, config: WebhookConfig, secret: string): Target {
  const key = keyOf(secret)
  if (!key) {
    throw new SwarmError('INVALID', `${config.secret_env} must be whsec_ and base64 of 24 to 64 bytes`, {
      area: 'configuration',
      ctx: { kind: 'InvalidValue', field: `notify.${name}.secret_env` },
    })
  }
  return {
    name,
    config,
    // what has been posted cannot be edited
    wants: (notice) => notice.state !== 'updated' && isWanted(notice, config),
    async send(repo, notice, _messages, signal) {
      const body = JSON.stringify(bodyOf(repo, notice))
      const headers = signedHeaders(key, idOf(repo, notice), Date.now(), body)
      try {
        const posted = await post(new URL(config.url), {
          ...{ headers, body, allowed: config.allow_private ?? [], signal },
        })
        const { status } = posted
        if (status >= 200 && status < 300) return { ok: true, messages: [] }
        const why =
          status >= 300 && status < 400 ? `${status}: redirects are not followed` : `answered ${status}`
        // by the Standard Webhooks scheme 410 ends an endpoint
        if (status === 410) return { ok: false, verdict: 'closed', why, askedMs: 0 }
        const asked = status === 429 || status === 503 ? retryAfterMs(posted.retryAfter, Date.now()) : 0
        return { ok: false, verdict: 'failed', why, askedMs: asked }
      } catch (error) {
        const why = error instanceof Error ? error.message : 'failed'
        return { ok: false, verdict: 'failed', why, askedMs: 0 }
      }
    },
  }
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
