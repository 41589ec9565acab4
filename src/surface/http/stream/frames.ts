import { SEVERITIES, type Severity, severityOf } from '../../../contract/events.ts'
import { isJsonObject, type Json, type JsonObject } from '../../../contract/json.ts'

/** One thing that clients are told. Its texts are made once, whoever wants them. */
export interface Frame {
  readonly event: string
  readonly cursor: string
  /** The channels and rooms that it goes to. */
  readonly topics: readonly string[]
  /** What filters look at. */
  readonly about: About
  /** As a line of a socket, without its newline. */
  readonly line: () => string
  /** As a server-sent event. */
  readonly sse: () => string
}

export interface About {
  readonly event_type?: string | undefined
  readonly agent_id?: number | undefined
  readonly bead_id?: string | undefined
  readonly session_id?: string | undefined
  readonly run_id?: string | undefined
}

/** Absent means all. */
export interface Filters extends Omit<About, 'event_type'> {
  readonly event_types?: readonly string[] | undefined
  /** This one or worse. */
  readonly severity?: Severity | undefined
}

export const CHANNELS = [
  'agents',
  'beads',
  'tasks',
  'tickets',
  'iterations',
  'runs',
  'events',
  'messages',
] as const
/** What a reader gets who names nothing: everything under its own name. */
export const ALL_CHANNELS = CHANNELS.filter((channel) => channel !== 'tasks' && channel !== 'tickets')
export const ROOM = /^(?:bead|ticket|run|session):\S[\s\S]{0,199}$/

export function isWanted(filters: Filters, { event_type = '', ...about }: About): boolean {
  const { event_types, severity, ...same } = filters
  if (event_types && !event_types.includes(event_type)) return false
  if (severity && SEVERITIES.indexOf(severityOf(event_type)) < SEVERITIES.indexOf(severity)) return false
  const wanted: Readonly<Record<string, unknown>> = same
  const found: Readonly<Record<string, unknown>> = about
  return Object.keys(wanted).every((name) => wanted[name] === undefined || wanted[name] === found[name])
}

/** Makes a frame; `data` is written once for each of the two forms that somebody reads. */
export function frame(
  event: string,
  cursor: string,
  topics: readonly string[],
  about: About,
  data: JsonObject,
): Frame {
  let line: string | undefined
  let sse: string | undefined
  return {
    event,
    cursor,
    topics,
    about,
    line() {
      line ??= JSON.stringify({ event, cursor, data })
      return line
    },
    sse() {
      sse ??= `id: ${cursor}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`
      return sse
    },
  }
}

/** What a row of the log says to clients: as a row of events, and as what it means for beads, agents, iterations and runs. */
export function framesOf(cursor: string, item: Readonly<Record<string, unknown>>): readonly Frame[] {
  // rows of the log come from the database as JSON
  const { kind, repo: _repo, ...data } = item as JsonObject
  if (kind === 'message' || kind === 'broadcast') {
    const about = { bead_id: text(data.bead_id), agent_id: number(data.from) }
    const topics = ['messages', ...rooms(about)]
    return [frame(kind === 'message' ? 'message:new' : 'broadcast:new', cursor, topics, about, data)]
  }
  const type = String(data.event_type)
  const about: About = {
    event_type: type,
    bead_id: text(data.bead_id),
    agent_id: number(data.agent_id),
    session_id: text(data.session_id),
    run_id: text(data.run_id),
  }
  const row = { ...data, severity: severityOf(type) }
  const tell = (event: string, channel: string, told: JsonObject = row, places = rooms(about)) =>
    frame(event, cursor, [channel, ...places], about, told)
  const frames = [frame('event:new', cursor, ['events'], about, row)]
  if (about.bead_id !== undefined) frames.push(...ofBead(type, about.bead_id, row, tell))
  if (/^(?:agent_|session_)/.test(type)) frames.push(tell('agent:status', 'agents'))
  if (type === 'iteration_started') frames.push(tell('iteration:started', 'iterations'))
  else if (type.startsWith('iteration_')) frames.push(tell('iteration:completed', 'iterations'))
  if (type === 'wave_started') frames.push(tell('wave:started', 'runs'))
  else if (type === 'wave_completed') frames.push(tell('wave:completed', 'runs'))
  else if (type.startsWith('run_')) frames.push(tell('run:updated', 'runs'))
  return frames
}

/** Events after which a bead stands otherwise than before. */
const MOVES = /^(?:bead_|stage_|transition_|lease_|landing_)|^state_change$/

type Tell = (event: string, channel: string, data?: JsonObject, rooms?: readonly string[]) => Frame

function ofBead(type: string, bead: string, row: JsonObject, tell: Tell): readonly Frame[] {
  const room = [`ticket:${bead}`]
  if (MOVES.test(type)) {
    return [
      tell('bead:updated', 'beads'),
      tell('task:updated', 'tasks', row, []),
      tell('ticket:update', 'tickets', entryOf(type, bead, row), room),
    ]
  }
  if (/^(?:agent_|session_|iteration_|run_|wave_)/.test(type)) return []
  const name = type === 'progress' ? 'progress' : type === 'pr_created' ? 'pr' : 'activity'
  const entry = entryOf(type, bead, row)
  return [tell(`bead:${name}`, 'beads', entry), tell(`ticket:${name}`, 'tickets', entry, room)]
}

/** What happened to a bead, for people. */
function entryOf(
  type: string,
  bead: string,
  { payload, agent_id, timestamp, stage }: JsonObject,
): JsonObject {
  const { message, note, category, ...metadata } = isJsonObject(payload) ? payload : {}
  const said = text(message) ?? text(note) ?? type.replaceAll('_', ' ')
  return {
    bead_id: bead,
    ticket_id: bead,
    category: text(category) ?? type,
    message: said,
    actor_id: agent_id ?? null,
    metadata: { ...metadata, ...(stage === undefined ? {} : { stage }) },
    timestamp: timestamp ?? null,
  }
}

function rooms({ bead_id, run_id, session_id }: About): readonly string[] {
  return [
    ...(bead_id === undefined ? [] : [`bead:${bead_id}`]),
    ...(run_id === undefined ? [] : [`run:${run_id}`]),
    ...(session_id === undefined ? [] : [`session:${session_id}`]),
  ]
}

function text(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function number(value: Json | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined
}
