import { type EventRow, SEVERITIES, type Severity } from '../contract/events.ts'
import { isJsonObject } from '../contract/json.ts'
import { after, because, cut } from './texts.ts'

/** What one subject (a bead, a session, a run, a budget, a question) needs a person for. */
export interface Incident {
  readonly subject: string
  readonly type: string
  readonly severity: Severity
  /** When it began, in ms of the epoch, and the number of the event that began it. */
  readonly since: number
  readonly sequence: number
  readonly text: string
  /** An agent works on it again: it gets no worse by time alone. */
  readonly attended?: boolean
  readonly event: EventRow
}

/** What is told: news (`info`), or an incident that has begun, changed without becoming worse (`updated`), become worse, or ended. */
export interface Notice {
  readonly state: 'info' | 'opened' | 'updated' | 'escalated' | 'resolved'
  readonly subject: string
  readonly type: string
  readonly severity: Severity
  readonly text: string
  /** In ms of the epoch. */
  readonly at: number
  readonly since: number
  /** The event that began it, so that the same notice has the same id however often it is made. */
  readonly sequence: number
  readonly event: EventRow
}

interface Bead {
  readonly started?: number | undefined
  readonly iterations: number
  readonly feedback?: string | undefined
}

/** What is known after some of the log. A value: every step makes a new one. */
export interface Known {
  readonly open: ReadonlyMap<string, Incident>
  readonly beads: ReadonlyMap<string, Bead>
}

export const NOTHING_KNOWN: Known = { open: new Map(), beads: new Map() }

const ERROR_AFTER_MS = 3_600_000
const CRITICAL_AFTER_MS = 14_400_000
/** A question is to be understood where it is answered. */
const LONGEST_QUESTION = 1_000

/** The types that are looked at. */
export const NOTIFIED_TYPES = [
  ...[
    'bead_claimed',
    'bead_updated',
    'stage_started',
    'stage_completed',
    'session_started',
    'session_ended',
    'state_change',
  ],
  ...['transition_advance', 'transition_retry', 'transition_finalize', 'transition_blocked'],
  ...['agent_failed', 'agent_stuck', 'meltdown', 'budget_warning', 'budget_exceeded'],
  ...['run_paused', 'run_resumed', 'run_failed', 'run_completed', 'run_stopped'],
  ...['question_asked', 'question_answered'],
] as const

const TYPES: ReadonlySet<string> = new Set(NOTIFIED_TYPES)

/** Takes one event in: what is known then, and what there is to tell. Only what swarm itself recorded counts. */
export function observe(
  known: Known,
  event: EventRow,
): { readonly known: Known; readonly notices: Notice[] } {
  if (event.origin !== 'system' || !TYPES.has(event.event_type)) return { known, notices: [] }
  const at = Date.parse(event.timestamp)
  const open = new Map(known.open)
  const beads = new Map(known.beads)
  const notices: Notice[] = []
  const payload = isJsonObject(event.payload) ? event.payload : {}
  const field = (name: string) => {
    const value = payload[name]
    return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined
  }
  const { bead_id, agent_id, stage, session_id, run_id, event_type: type } = event
  const bead = bead_id ?? event.entity_id
  const before = beads.get(bead) ?? { iterations: 0 }
  const who = agent_id === undefined ? 'an agent' : `agent ${agent_id}`
  const where = stage === undefined ? '' : ` at ${stage}`

  const info = (text: string) =>
    notices.push(
      noticeOf(
        { subject: `event:${event.sequence}`, type, severity: 'info', since: at, text, ...of(event) },
        'info',
        at,
      ),
    )
  const begin = (subject: string, severity: Severity, text: string) => {
    const current = open.get(subject)
    if (!current) {
      const incident = { subject, type, severity, since: at, text, ...of(event) }
      open.set(subject, incident)
      notices.push(noticeOf(incident, 'opened', at))
      return
    }
    const isWorse = rank(severity) > rank(current.severity)
    const incident = {
      ...current,
      text,
      type,
      event,
      attended: false,
      severity: isWorse ? severity : current.severity,
    }
    open.set(subject, incident)
    if (isWorse) notices.push(noticeOf(incident, 'escalated', at))
    else if (text !== current.text) notices.push(noticeOf(incident, 'updated', at))
  }
  const endWith = (subject: string, how: string) => {
    const incident = open.get(subject)
    if (!incident) return
    open.delete(subject)
    const text = `resolved: ${incident.text}${how}`
    notices.push(noticeOf({ ...incident, text, event }, 'resolved', at))
  }
  const end = (...subjects: readonly string[]) => {
    for (const subject of subjects) endWith(subject, '')
  }

  switch (type) {
    case 'bead_claimed':
      beads.set(bead, { ...before, started: at })
      // it has been opened again meanwhile
      if (open.get(`bead:${bead}`)?.type === 'transition_blocked') end(`bead:${bead}`)
      info(`${who} starts ${bead}${where}`)
      break
    case 'stage_started':
    case 'session_started':
      for (const subject of [`bead:${bead}`, `session:${bead}`]) {
        const incident = open.get(subject)
        if (incident) open.set(subject, { ...incident, attended: true })
      }
      break
    case 'session_ended': {
      const files = Number(field('files') ?? 0)
      if (files > 0) info(`${who} modified ${files} ${files === 1 ? 'file' : 'files'} for ${bead}${where}`)
      break
    }
    case 'stage_completed':
      beads.set(bead, { ...before, iterations: before.iterations + 1, feedback: field('feedback') })
      break
    case 'transition_advance':
      end(`bead:${bead}`, `session:${bead}`)
      break
    case 'state_change':
      // it has been opened again
      end(`bead:${bead}`, `session:${bead}`)
      break
    case 'transition_finalize':
      end(`bead:${bead}`, `session:${bead}`)
      info(`${who} finished ${bead}${after(before.iterations)}`)
      beads.delete(bead)
      break
    case 'transition_retry':
      begin(`bead:${bead}`, 'warning', `${bead} failed${where}${because(before.feedback)}`)
      break
    case 'transition_blocked': {
      const reason = field('reason') ?? before.feedback
      begin(
        `bead:${bead}`,
        'error',
        `${bead} is blocked${where}${after(before.iterations)}${because(reason)}`,
      )
      break
    }
    case 'bead_updated':
      if (field('status') === 'pending' || field('status') === 'cancelled')
        end(`bead:${bead}`, `session:${bead}`)
      break
    case 'agent_failed':
      begin(
        sessionOf(bead_id, session_id, event),
        'error',
        `${who} failed on ${bead}${where}${because(field('error'))}`,
      )
      break
    case 'agent_stuck': {
      const minutes =
        before.started === undefined
          ? ''
          : ` for ${Math.max(1, Math.round((at - before.started) / 60_000))} minutes`
      begin(
        sessionOf(bead_id, session_id, event),
        'warning',
        `${who} is stuck on ${bead}${minutes}${because(field('error'))}`,
      )
      break
    }
    case 'meltdown':
      begin(
        `run:${run_id ?? event.entity_id}`,
        'critical',
        `run ${run_id ?? event.entity_id} melts down${because(field('reason'))}`,
      )
      break
    case 'budget_warning':
    case 'budget_exceeded': {
      const isOver = type === 'budget_exceeded'
      const text = `the budget of ${run_id ?? event.entity_id} is ${isOver ? 'used up' : 'nearly used up'}`
      begin(
        `budget:${run_id ?? event.entity_id}/${field('kind') ?? ''}`,
        isOver ? 'error' : 'warning',
        text + because(field('reason')),
      )
      break
    }
    case 'run_paused':
      begin(`run:${run_id}`, 'warning', `run ${run_id} is paused${because(field('reason'))}`)
      break
    case 'run_resumed':
      end(`run:${run_id}`)
      break
    case 'run_failed':
    case 'run_completed':
    case 'run_stopped': {
      end(`run:${run_id}`, ...[...open.keys()].filter((one) => one.startsWith(`budget:${run_id}/`)))
      const text = `run ${run_id} has ${type === 'run_completed' ? 'completed' : type === 'run_failed' ? 'failed' : 'stopped'}`
      const notice = {
        subject: `event:${event.sequence}`,
        type,
        since: at,
        text: text + because(field('reason')),
        ...of(event),
      }
      notices.push(noticeOf({ ...notice, severity: type === 'run_failed' ? 'error' : 'info' }, 'info', at))
      break
    }
    case 'question_asked': {
      const options = Array.isArray(payload.options)
        ? payload.options.filter((one) => typeof one === 'string')
        : []
      const choice = options.length === 0 ? '' : ` (${cut(options.join(' / '), LONGEST_QUESTION)})`
      const text = `${who} asks${bead_id === undefined ? '' : ` about ${bead_id}`}: ${cut(field('question') ?? '', LONGEST_QUESTION)}${choice}`
      begin(`question:${field('question_id') ?? event.entity_id}`, 'warning', text)
      break
    }
    case 'question_answered': {
      const answer = field('answer')
      endWith(
        `question:${field('question_id') ?? event.entity_id}`,
        answer === undefined ? '' : ` → ${cut(answer)}`,
      )
      break
    }
  }
  return { known: { open, beads }, notices }
}

/** What has been open for too long becomes worse: error after an hour, critical after four. Each step is told once. */
export function escalate(known: Known, now: number): { readonly known: Known; readonly notices: Notice[] } {
  const open = new Map(known.open)
  const notices: Notice[] = []
  for (const [subject, incident] of known.open) {
    const age = now - incident.since
    const due: Severity | undefined =
      age >= CRITICAL_AFTER_MS ? 'critical' : age >= ERROR_AFTER_MS ? 'error' : undefined
    if (incident.attended || due === undefined || rank(due) <= rank(incident.severity)) continue
    const worse = { ...incident, severity: due }
    open.set(subject, worse)
    const hours = Math.floor(age / 3_600_000)
    notices.push(noticeOf({ ...worse, text: `${incident.text} (open for ${hours} h)` }, 'escalated', now))
  }
  return { known: { ...known, open }, notices }
}

/** Whether a target asked for it: so bad at least, and of a type that it named. */
export function isWanted(
  notice: Pick<Notice, 'severity' | 'type'>,
  {
    severity = 'warning',
    types,
  }: { readonly severity?: Severity | undefined; readonly types?: readonly string[] | undefined },
): boolean {
  return rank(notice.severity) >= rank(severity) && (types === undefined || types.includes(notice.type))
}

function noticeOf(incident: Incident, state: Notice['state'], at: number): Notice {
  return { ...incident, state, at }
}

function of(event: EventRow) {
  return { event, sequence: event.sequence }
}

function sessionOf(bead: string | undefined, session: string | undefined, event: EventRow): string {
  return `session:${bead ?? session ?? event.entity_id}`
}

function rank(severity: Severity): number {
  return SEVERITIES.indexOf(severity)
}
