import type { JsonObject } from '../../contract/json.ts'

/** How the body of an answer is made of what the verb answers. */
export type Body =
  /** `d` as it is, under other names, and with fixed fields. */
  | { readonly kind: 'same'; readonly names?: Readonly<Record<string, string>>; readonly adds?: JsonObject }
  /** The only row of a list, under a name of its own; NOTFOUND when there is none. */
  | { readonly kind: 'one'; readonly list: string; readonly name: string; readonly of: string }
  /** The texts of a list as one `content`, with the cursor of the next. */
  | { readonly kind: 'content'; readonly list: string }

/** A route of REST: which verb it is, and how its parts make the verb's fields. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Names in it are fields of the verb; `iteration_id` is `<session_id>:<iteration>`. */
  readonly path: string
  readonly verb: string
  /** Other names of fields in query and body. */
  readonly names?: Readonly<Record<string, string>>
  /** Fields that the request need not say. */
  readonly given?: JsonObject
  /** The field of the verb that takes the body in a list of one, unless the body has that field itself. */
  readonly wrap?: string
  /** `same` unless said. */
  readonly body?: Body
  /** 200 unless said. */
  readonly status?: number
}

const DONE: Body = { kind: 'same', adds: { success: true } }

/** The routes of beads, under the names that others have for them. */
function beads(path: string, many: string, one: string): readonly Route[] {
  const names = { beads: many, bead: one, bead_ids: `${one}_ids` }
  const body: Body = many === 'beads' ? { kind: 'same' } : { kind: 'same', names }
  const list = { total: true }
  const query = { agent: 'agent_id', run: 'run_id', q: 'search', [`${one}_id`]: 'bead_id' }
  return [
    { method: 'GET', path, verb: 'beads', names: query, given: list, body },
    { method: 'POST', path, verb: 'enqueue', wrap: 'beads', names: { [many]: 'beads' }, body, status: 201 },
    { method: 'GET', path: `${path}/:bead_id`, verb: 'show', body },
    { method: 'PATCH', path: `${path}/:bead_id`, verb: 'update', body },
    { method: 'DELETE', path: `${path}/:bead_id`, verb: 'cancel', body: DONE },
    { method: 'GET', path: `${path}/:subject/explain`, verb: 'explain', body },
  ]
}

const OF_SESSION = { agent: 'agent_id', run: 'run_id' }

export const ROUTES: readonly Route[] = [
  { method: 'GET', path: '/api/status', verb: 'status' },
  { method: 'GET', path: '/api/overview', verb: 'ps', names: { run: 'run_id' } },
  { method: 'GET', path: '/api/graph', verb: 'graph', names: { bead: 'bead_id' } },
  { method: 'GET', path: '/api/history', verb: 'history', names: { agent: 'agent_id', bead: 'bead_id' } },
  { method: 'GET', path: '/api/agents', verb: 'agents' },
  {
    method: 'GET',
    path: '/api/agents/:agent_id',
    verb: 'agents',
    given: { full: true },
    body: { kind: 'one', list: 'agents', name: 'agent', of: 'agent_id' },
  },
  { method: 'PATCH', path: '/api/agents/:agent_id', verb: 'update-agent' },
  ...beads('/api/beads', 'beads', 'bead'),
  ...beads('/api/tasks', 'tasks', 'task'),
  ...beads('/api/tickets', 'tickets', 'ticket'),
  { method: 'GET', path: '/api/sessions', verb: 'sessions', names: OF_SESSION },
  {
    method: 'GET',
    path: '/api/sessions/:session_id',
    verb: 'sessions',
    body: { kind: 'one', list: 'sessions', name: 'session', of: 'session_id' },
  },
  { method: 'GET', path: '/api/sessions/:session_id/iterations', verb: 'iterations' },
  { method: 'POST', path: '/api/sessions/:session_id/terminate', verb: 'kill', body: DONE },
  { method: 'POST', path: '/api/sessions/:session_id/steer', verb: 'steer', body: DONE },
  { method: 'POST', path: '/api/sessions/:session_id/extend', verb: 'extend', body: DONE },
  {
    method: 'GET',
    path: '/api/sessions/:session_id/log',
    verb: 'logs',
    body: { kind: 'content', list: 'logs' },
  },
  {
    method: 'GET',
    path: '/api/iterations/:iteration_id',
    verb: 'iterations',
    body: { kind: 'one', list: 'iterations', name: 'iteration', of: 'iteration' },
  },
  {
    method: 'GET',
    path: '/api/iterations/:iteration_id/log',
    verb: 'logs',
    body: { kind: 'content', list: 'logs' },
  },
  { method: 'POST', path: '/api/iterations/:iteration_id/qa', verb: 'check-iteration', body: DONE },
  { method: 'GET', path: '/api/runs', verb: 'runs' },
  { method: 'POST', path: '/api/runs', verb: 'start-run', status: 201 },
  {
    method: 'GET',
    path: '/api/runs/:run_id',
    verb: 'runs',
    body: { kind: 'one', list: 'runs', name: 'run', of: 'run_id' },
  },
  { method: 'GET', path: '/api/runs/:run_id/waves', verb: 'waves' },
  { method: 'POST', path: '/api/runs/:run_id/pause', verb: 'pause' },
  { method: 'POST', path: '/api/runs/:run_id/unpause', verb: 'unpause' },
  { method: 'POST', path: '/api/runs/:run_id/down', verb: 'down' },
  {
    method: 'GET',
    path: '/api/events',
    verb: 'events',
    names: {
      type: 'event_type',
      agent: 'agent_id',
      session: 'session_id',
      run: 'run_id',
      bead: 'bead_id',
      since: 'from_time',
    },
  },
  { method: 'GET', path: '/api/questions', verb: 'questions' },
  { method: 'POST', path: '/api/questions/:question_id/answer', verb: 'answer', body: DONE },
]
