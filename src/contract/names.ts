import type { FieldInfo, Shape } from './introspect.ts'
import { isJsonObject, type Json } from './json.ts'
import { closest, plain } from './nearest.ts'

/** Where the value of an unknown field was probably meant to go. */
export interface Suggestion {
  readonly name: string
  /** What a number in the unknown field must be multiplied by to be in the unit of the known one. */
  readonly scale?: number
}

/** Names that mean the same to whoever writes a request; the first that fits the verb and the value is taken. */
const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  id: ['bead_id', 'agent_id', 'agent', 'resource', 'message_id', 'entity_id'],
  bead: ['bead_id', 'beads'],
  task: ['bead_id', 'title', 'beads'],
  task_id: ['bead_id'],
  ticket: ['bead_id', 'beads'],
  ticket_id: ['bead_id'],
  issue: ['bead_id', 'beads'],
  issue_id: ['bead_id'],
  item: ['bead_id', 'beads'],
  items: ['beads', 'ops'],
  tasks: ['beads'],
  tickets: ['beads'],
  issues: ['beads'],
  agent: ['agent_id', 'from'],
  agent_id: ['agent', 'from'],
  agent_number: ['agent_id', 'agent', 'from'],
  worker: ['agent_id', 'agent', 'from'],
  worker_id: ['agent_id', 'agent', 'from'],
  owner: ['agent_id', 'agent', 'from'],
  holder: ['agent', 'agent_id'],
  assignee: ['agent_id'],
  me: ['agent_id', 'agent', 'from'],
  self: ['agent_id', 'agent', 'from'],
  from: ['agent_id', 'after'],
  from_agent: ['agent_id', 'from'],
  sender: ['from', 'agent_id'],
  author: ['from', 'agent_id'],
  recipient: ['to'],
  recipients: ['to'],
  receiver: ['to'],
  target: ['to', 'resource'],
  to_agent: ['to'],
  to_agent_id: ['to'],
  message: ['body', 'msg', 'note', 'feedback', 'reason', 'description'],
  msg: ['body', 'note', 'feedback', 'reason'],
  text: ['body', 'msg', 'note', 'content', 'feedback', 'description', 'title'],
  body: ['msg', 'description', 'content', 'note', 'feedback'],
  content: ['body', 'msg', 'description', 'note', 'feedback'],
  comment: ['feedback', 'reason', 'note', 'body'],
  comments: ['feedback', 'reason', 'note', 'body'],
  notes: ['note', 'feedback', 'reason', 'description'],
  note: ['reason', 'feedback', 'body'],
  reason: ['feedback', 'note', 'body'],
  why: ['reason', 'feedback'],
  explanation: ['feedback', 'reason', 'note'],
  error: ['feedback', 'reason', 'note'],
  error_message: ['feedback', 'reason', 'note'],
  feedback: ['reason', 'note'],
  progress: ['note'],
  status: ['outcome', 'to', 'note'],
  result: ['outcome', 'feedback'],
  state: ['outcome', 'status', 'to'],
  verdict: ['outcome'],
  success: ['outcome'],
  passed: ['outcome'],
  desc: ['description'],
  details: ['description', 'detail', 'metadata', 'payload'],
  summary: ['title', 'subject', 'description'],
  name: ['title', 'resource'],
  subject: ['title'],
  title: ['subject', 'name'],
  type: ['bead_type', 'message_type', 'artifact_type', 'event_type', 'kind'],
  types: ['bead_types'],
  kind: ['bead_type', 'message_type', 'artifact_type', 'event_type'],
  issue_type: ['bead_type'],
  event: ['event_type'],
  event_name: ['event_type'],
  entity: ['entity_id'],
  cause: ['causation_id', 'reason'],
  prio: ['priority'],
  importance: ['priority'],
  severity: ['priority', 'category'],
  tags: ['labels'],
  tag: ['labels'],
  label: ['labels'],
  deps: ['depends_on'],
  dependencies: ['depends_on'],
  depends: ['depends_on'],
  blocked_by: ['depends_on'],
  requires: ['depends_on'],
  needs: ['depends_on'],
  meta: ['metadata'],
  extra: ['metadata', 'payload'],
  data: ['payload', 'metadata', 'content'],
  key: ['resource', 'idem'],
  idempotency_key: ['idem'],
  operation_key: ['idem'],
  request_key: ['idem'],
  request_id: ['rid'],
  req_id: ['rid'],
  correlation_id: ['rid', 'causation_id'],
  dry_run: ['dry'],
  dryrun: ['dry'],
  preview: ['dry'],
  tenant: ['repo'],
  project: ['repo'],
  repository: ['repo'],
  repo_id: ['repo'],
  db: ['database_url'],
  db_url: ['database_url'],
  database: ['database_url'],
  dsn: ['database_url'],
  connection_string: ['database_url'],
  url: ['database_url'],
  since: ['after'],
  cursor: ['after'],
  seq: ['after', 'sequence'],
  start: ['after'],
  offset: ['after'],
  max: ['limit', 'count'],
  n: ['limit', 'count'],
  num: ['limit', 'count'],
  count: ['limit'],
  size: ['limit'],
  top: ['limit'],
  limit: ['count'],
  page_size: ['limit'],
  path: ['resource', 'file'],
  file: ['resource', 'path'],
  filename: ['resource', 'path'],
  lock: ['resource'],
  token: ['fence'],
  fence_token: ['fence'],
  fencing_token: ['fence'],
  lease_token: ['fence'],
  cmds: ['ops'],
  commands: ['ops'],
  requests: ['ops'],
  operations: ['ops'],
  steps: ['ops'],
  force: ['require'],
  required: ['require'],
  only_unread: ['unread'],
  lease: ['lease_ms'],
  ttl: ['ttl_ms', 'lease_ms'],
  timeout: ['timeout_ms', 'wait_ms', 'ttl_ms', 'lease_ms'],
  duration: ['duration_ms', 'ttl_ms', 'lease_ms'],
  wait: ['wait_ms'],
  block: ['wait_ms'],
  poll: ['wait_ms'],
}

/** Units that people put at the end of a duration's name, in ms. */
const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  millis: 1,
  milliseconds: 1,
  s: 1_000,
  sec: 1_000,
  secs: 1_000,
  seconds: 1_000,
  m: 60_000,
  min: 60_000,
  mins: 60_000,
  minutes: 60_000,
}

/** Without a unit, a number below this is meant in seconds. */
const SMALLEST_PLAUSIBLE_MS = 1_000

/**
 * The field that an unknown name stands for, out of those that are still free and can take the value: by spelling,
 * by meaning, as singular or plural, by a unit at its end, and last by likeness.
 */
export function suggest(
  name: string,
  value: Json,
  free: readonly FieldInfo[],
  aliases: Readonly<Record<string, string>> = {},
): Suggestion | undefined {
  const fitting = free.filter((field) => isPlausible(value, field))
  const names = fitting.map((field) => field.name)
  const key = plain(name).replaceAll('-', '_')
  const pick = (options: readonly (string | undefined)[]) =>
    options.find((option) => option !== undefined && names.includes(option))

  const exact = pick([key, aliases[key], `${key}s`, key.replace(/s$/, '')])
  if (exact !== undefined) return { name: exact }
  const timed = suggestDuration(key, value, pick)
  if (timed) return timed
  const meant = pick(Object.hasOwn(SYNONYMS, key) ? (SYNONYMS[key] ?? []) : [])
  if (meant !== undefined) return { name: meant }
  const near = closest(key, names)
  return near === undefined ? undefined : { name: near }
}

function suggestDuration(
  key: string,
  value: Json,
  pick: (options: readonly (string | undefined)[]) => string | undefined,
): Suggestion | undefined {
  const [, stem = key, unit] = /^(.+)_([a-z]+)$/.exec(key) ?? []
  const factor = unit !== undefined && Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined
  const base = factor === undefined ? key : stem
  const options = [`${base}_ms`, ...(SYNONYMS[base] ?? [])].filter((option) => option.endsWith('_ms'))
  const name = pick(options)
  if (name === undefined) return undefined
  const amount = typeof value === 'object' ? Number.NaN : Number(value)
  const guessed = amount < SMALLEST_PLAUSIBLE_MS ? 1_000 : 1
  return { name, scale: factor ?? guessed }
}

/** Whether a value could be meant for a shape at all; coercing it is another matter. */
function isPlausible(value: Json, shape: Shape): boolean {
  if (shape.type === 'union') return shape.variants?.some((variant) => isPlausible(value, variant)) ?? true
  if (shape.type === 'array') {
    return Array.isArray(value) || !shape.items || isPlausible(value, shape.items)
  }
  if (shape.type === 'object') {
    if (typeof value !== 'string') return isJsonObject(value)
    return value.trimStart().startsWith('{') || soleText(shape) !== undefined
  }
  if (Array.isArray(value)) return value.length === 1 && !isJsonObject(value[0] ?? null)
  if (isJsonObject(value))
    return shape.type === 'string' && shape.maxLength !== undefined && shape.maxLength > 1_000
  if (shape.type === 'integer' || shape.type === 'number') {
    return typeof value === 'number' || (typeof value === 'string' && /\d/.test(value))
  }
  if (shape.type === 'boolean')
    return typeof value !== 'string' || /^(true|false|yes|no|on|off|0|1)$/i.test(value)
  return true
}

/** The field of an object that a bare text stands for: its one required field, if that is text. */
export function soleText(shape: Shape): string | undefined {
  const [field, ...others] = shape.fields?.filter(({ required }) => required) ?? []
  return field?.type === 'string' && others.length === 0 ? field.name : undefined
}
