/** What the server answers, and how it is asked. Nothing here decides anything: the server says what is so. */

export interface Act {
  readonly cmd: string
  readonly [field: string]: string | number | boolean | readonly string[]
}

export interface Need {
  readonly kind: string
  readonly level: 'warning' | 'bad'
  readonly subject: string
  readonly bead_id?: string
  readonly title: string
  readonly evidence?: string
  readonly options?: readonly string[]
  readonly since?: string
  readonly acts: readonly Act[]
}

export interface Session {
  readonly session_id: string
  readonly agent_id: number
  readonly role?: string
  readonly adapter: string
  readonly bead_id: string
  readonly stage: string
  readonly attempt: number
  readonly status: string
  readonly open_tool?: string
  readonly turns: number
  readonly tool_calls: number
  readonly quiet_ms?: number
  readonly cost_usd?: number
  readonly queued_at: string
  readonly started_at?: string
  readonly ended_at?: string
  readonly reason?: string
}

export interface Overview {
  readonly as_of: string
  readonly verdict: { readonly level: 'good' | 'warning' | 'bad'; readonly text: string }
  readonly needs_you: readonly Need[]
  readonly run?: {
    readonly run_id: string
    readonly status: string
    readonly target?: number
    readonly landed: number
    readonly started_at: string
    readonly ended_at?: string
    readonly estimated_completion?: string
  }
  readonly beads: Readonly<Record<string, number>>
  readonly ready: number
  readonly agents: { readonly total: number; readonly busy: number }
  readonly finished: readonly { readonly at: string; readonly count: number }[]
  readonly sessions: readonly Session[]
  readonly train: readonly { readonly bead_id: string; readonly status: string; readonly tries: number }[]
  readonly quotas: readonly {
    readonly account: string
    readonly kind: string
    readonly used_percent?: number
    readonly until?: string
  }[]
  readonly spent: { readonly usd: number; readonly tokens: number }
  readonly budgets: readonly { readonly kind: string; readonly used: number; readonly limit: number }[]
}

export interface Bead {
  readonly bead_id: string
  readonly title: string
  readonly status: string
  readonly priority: string
  readonly stage: string
  readonly attempt: number
  readonly open_blockers: number
  readonly bead_type: string
  readonly labels: readonly string[]
}

export interface Attempt {
  readonly attempt_id?: number
  readonly bead_id: string
  readonly stage: string
  readonly attempt: number
  readonly agent_id: number
  readonly status: string
  readonly feedback?: string
  readonly started_at: string
  readonly duration_ms: number
}

export interface LogEvent {
  readonly sequence: number
  readonly timestamp: string
  readonly event_type: string
  readonly entity_id: string
  readonly bead_id?: string
  readonly agent_id?: number
  readonly stage?: string
  readonly session_id?: string
  readonly severity?: string
  readonly payload: unknown
}

export interface Agent {
  readonly agent_id: number
  readonly name?: string
  readonly role?: string
  readonly status: string
  readonly bead_id?: string
  readonly stage?: string
  readonly last_update: string
}

/** All that the server knows of one bead, in pieces of bounded size. */
export interface BeadContext {
  readonly bead: Bead & {
    readonly description?: string
    readonly feedback?: string
    readonly workflow?: string
    readonly verification_status?: string
    readonly commit_hash?: string
    readonly pr_url?: string
    readonly created_at?: string
    readonly updated_at?: string
    readonly finished_at?: string
  }
  readonly claim: {
    readonly agent_id: number
    readonly lease_expires_at: string
    readonly fence: number
  } | null
  readonly blockers: readonly {
    readonly bead_id: string
    readonly kind: string
    readonly status?: string
    readonly open: boolean
  }[]
  readonly attempts: readonly Omit<Attempt, 'bead_id'>[]
  readonly messages: readonly {
    readonly message_id: number
    readonly from: number
    readonly to: number
    readonly message_type: string
    readonly subject?: string
    readonly body: string
    readonly at: string
  }[]
}

export interface Explained {
  readonly waits_for?: string
  readonly sessions: readonly Session[]
  readonly decisions: readonly LogEvent[]
}

/** What a gate, or an agent, said of an attempt's tree. */
export interface Evidence {
  readonly artifact_id: number
  readonly stage: string
  readonly attempt: number
  readonly artifact_type: string
  readonly trust: string
  readonly bytes: number
  readonly at: string
  readonly content?: string
  readonly metadata?: {
    readonly exit_code?: number
    readonly tree?: string
    readonly commit?: string
    readonly command?: string
  }
}

export interface DiffAnswer {
  readonly of: 'landed' | 'session' | 'branch'
  readonly base: string
  readonly commit: string
  readonly files: readonly { readonly path: string; readonly added?: number; readonly removed?: number }[]
  readonly more_files: boolean
  readonly patch: string
  readonly cut: boolean
}

/** What became of one of several requests. */
export type Result = { readonly ok: true } | { readonly ok: false; readonly problem: string }

export interface GraphAnswer {
  readonly beads: readonly Bead[]
  readonly links: readonly (readonly [string, string])[]
  readonly critical_path: readonly string[]
  readonly more: boolean
}

/** What the server refused, or that it is away (status 0). */
export class Refusal extends Error {
  readonly status: number
  constructor(message: string, status: number) {
    super(message)
    this.status = status
  }
}

/** Asks a route of REST; throws `Refusal`. */
export async function get<T>(
  path: string,
  fields: Readonly<Record<string, string | number | boolean>> = {},
): Promise<T> {
  const query = new URLSearchParams(Object.entries(fields).map(([name, value]) => [name, String(value)]))
  const text = query.size > 0 ? `${path}?${query}` : path
  return answerOf<T>(await send(text, { headers: { accept: 'application/json' } }))
}

/** Sends a verb and answers its `d`; throws `Refusal`. A write that is sent again under one key is done once. */
export async function rpc<T>(request: Act, key?: string): Promise<T> {
  const body = JSON.stringify(key === undefined ? request : { ...request, idem: key })
  const { d } = await answerOf<{ d: T }>(
    await send('/api/rpc', { method: 'POST', headers: { 'content-type': 'application/json' }, body }),
  )
  return d
}

/** Several requests, one after the other; what became of each, in their order. Throws `Refusal` when none was taken. */
export async function rpcEach(requests: readonly Act[]): Promise<Result[]> {
  const body = requests.map((request) => `${JSON.stringify(request)}\n`).join('')
  const response = await send('/api/rpc', {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body,
  })
  if (!response.ok) await answerOf(response)
  const lines = (await response.text()).split('\n').filter((line) => line !== '')
  return requests.map((_request, at) => {
    const { ok, err } = JSON.parse(lines[at] ?? '{}') as { ok?: boolean; err?: { msg: string } }
    return ok === true ? { ok } : { ok: false, problem: err?.msg ?? 'no answer came' }
  })
}

/** Makes a token the cookie of this page; throws `Refusal`. */
export async function login(token: string): Promise<void> {
  await answerOf(
    await send('/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token }),
    }),
  )
}

async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { ...init, signal: AbortSignal.timeout(15_000) })
  } catch {
    throw new Refusal('the server is away', 0)
  }
}

async function answerOf<T>(response: Response): Promise<T> {
  const text = await response.text()
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Refusal(`an answer that is not JSON (${response.status})`, response.status)
  }
  if (!response.ok) {
    const { err } = value as { err?: { msg?: string } }
    throw new Refusal(err?.msg ?? `status ${response.status}`, response.status)
  }
  return value as T
}
