import {
  type Agent,
  type Attempt,
  type Bead,
  get,
  type LogEvent,
  type Overview,
  Refusal,
  rpc,
} from './api.ts'
import { type Connection, state, touch } from './store.ts'
import { learnClock, serverNow } from './time.tsx'

const PAGE = 1_000
/** Beads that are read again in one request. */
const AT_ONCE = 500
const KEPT_EVENTS = 500
/** Changes are gathered for so long before they are read, in ms. */
const GATHER_MS = 200
/** And for so long where more is read, in ms. */
const REST_MS = 500
/** Attempts that are read after an event, and how often all of the last hour are, in ms. */
const RECENT = 200
const WHOLE_MS = 30_000
const HOUR_MS = 3_600_000
/** What no event tells (quiet sessions, leases, quotas) is read so often, in ms. */
const REFRESH_MS = 5_000

const inOrder = new Intl.Collator('en', { numeric: true })
const dirty = new Set<string>()
let source: EventSource | undefined
let newest = 0
let attemptsReadAt = Number.NEGATIVE_INFINITY
/** What is gathered or read at the moment, by name, and whether it is wanted again. */
const runs = new Map<string, { again: boolean }>()

/** Reads everything once and follows the log from there on. Goes on by itself when server or database were away. */
export async function start(): Promise<void> {
  try {
    // the stream first, so that nothing happens between the reads and it
    follow()
    await readEverything()
  } catch (error) {
    lost(error)
  }
}

/** A connection that hangs tells nothing: the stream is opened anew too. */
async function beginAgain(): Promise<void> {
  follow()
  await readEverything()
}

async function readEverything(): Promise<void> {
  attemptsReadAt = Number.NEGATIVE_INFINITY
  await Promise.all([readOverview(), readAgents(), readAttempts(), readEvents()])
  await readBeads()
  settle('live', '')
}

function follow(): void {
  source?.close()
  const stream = new EventSource('/api/stream?channels=events')
  source = stream
  stream.addEventListener('event:new', (message) => {
    arrived(JSON.parse(message.data) as LogEvent)
  })
  stream.onopen = () => {
    if (state.connection === 'live' || state.connection === 'starting') return
    later('all', readEverything)
  }
  stream.onerror = () => {
    if (source !== stream) return
    settle('away', 'the server is away')
    // closed for good: a cursor that is dead, or a refusal
    if (stream.readyState !== EventSource.CLOSED) return
    // of another log, whose numbers may begin anew
    newest = 0
    state.events = []
    setTimeout(() => void start(), 2_000)
  }
}

function arrived(event: LogEvent): void {
  if (event.sequence <= newest) return
  newest = event.sequence
  state.lagMs = Math.max(0, serverNow() - Date.parse(event.timestamp))
  state.events = [event, ...state.events].slice(0, KEPT_EVENTS)
  touch('events', 'connection')
  if (event.bead_id !== undefined) dirty.add(event.bead_id)
  later('beads', readDirty)
  later('overview', readOverview, REST_MS)
  if (event.agent_id !== undefined) later('agents', readAgents, REST_MS)
  if (event.event_type.startsWith('stage_') || event.event_type.startsWith('transition_'))
    later('attempts', readAttempts, REST_MS)
}

/** Does `work` once what comes meanwhile has been gathered; never twice at the same time. */
function later(name: string, work: () => Promise<void>, gatherMs = GATHER_MS): void {
  const run = runs.get(name)
  if (run) {
    run.again = true
    return
  }
  const fresh = { again: false }
  runs.set(name, fresh)
  setTimeout(async () => {
    try {
      await work()
    } catch (error) {
      lost(error)
    }
    runs.delete(name)
    if (fresh.again) later(name, work, gatherMs)
  }, gatherMs)
}

async function readOverview(): Promise<void> {
  state.overview = await get<Overview>('/api/overview')
  learnClock(state.overview.as_of)
  if (state.connection === 'database away') settle('live', '')
  touch('overview')
}

async function readAgents(): Promise<void> {
  const { agents } = await get<{ agents: Agent[] }>('/api/agents', { limit: PAGE })
  state.agents = agents
  touch('agents')
}

/** The latest; all of the last hour now and then, since one that began long ago ends too. */
async function readAttempts(): Promise<void> {
  const whole = Date.now() - attemptsReadAt > WHOLE_MS
  const { attempts } = await get<{ attempts: Attempt[] }>('/api/history', { limit: whole ? PAGE : RECENT })
  const from = serverNow() - HOUR_MS
  const oldest = attempts.at(-1)?.attempt_id ?? 0
  const kept = whole ? [] : state.attempts.filter(({ attempt_id = 0 }) => attempt_id < oldest)
  state.attempts = [...attempts, ...kept].filter(
    ({ status, started_at, duration_ms }) =>
      status === 'started' || Date.parse(started_at) + duration_ms > from,
  )
  if (whole) attemptsReadAt = Date.now()
  touch('attempts')
}

async function readEvents(): Promise<void> {
  const { events } = await get<{ events: LogEvent[] }>('/api/events', { latest: true, limit: 200 })
  const known = new Set(state.events.map(({ sequence }) => sequence))
  const all = [...state.events, ...events.filter(({ sequence }) => !known.has(sequence))]
  state.events = all.sort((a, b) => b.sequence - a.sequence).slice(0, KEPT_EVENTS)
  newest = Math.max(newest, state.events[0]?.sequence ?? 0)
  touch('events')
}

async function readBeads(): Promise<void> {
  const beads = new Map<string, Bead>()
  let after: string | undefined
  do {
    const page = await get<{ beads: Bead[]; more: boolean; cursor?: string }>('/api/beads', {
      limit: PAGE,
      ...(after === undefined ? {} : { after }),
    })
    for (const bead of page.beads) beads.set(bead.bead_id, bead)
    after = page.more ? page.cursor : undefined
  } while (after !== undefined)
  // b-2 before b-10
  state.beads = new Map([...beads].sort(([a], [b]) => inOrder.compare(a, b)))
  state.beadsRead = true
  touch('beads')
}

/** Reads again the beads of which events told. */
async function readDirty(): Promise<void> {
  while (dirty.size > 0) {
    const ids = [...dirty].slice(0, AT_ONCE)
    for (const id of ids) dirty.delete(id)
    const { beads } = await rpc<{ beads: Bead[] }>({ cmd: 'beads', bead_ids: ids, limit: AT_ONCE })
    const gone = new Set(ids)
    // the order stays; whoever compares the map sees a new one
    const next = new Map(state.beads)
    for (const bead of beads) {
      next.set(bead.bead_id, bead)
      gone.delete(bead.bead_id)
    }
    for (const id of gone) next.delete(id)
    state.beads = next
    touch('beads')
  }
}

function lost(error: unknown): void {
  if (!(error instanceof Refusal)) throw error
  if (error.status === 401) settle('login', error.message)
  else settle(error.status === 503 ? 'database away' : 'away', error.message)
  if (error.status !== 401) setTimeout(() => later('all', beginAgain), 1_000)
}

function settle(connection: Connection, why: string): void {
  state.connection = connection
  state.why = why
  touch('connection')
}

setInterval(() => {
  if (state.connection === 'live' && document.visibilityState === 'visible') later('overview', readOverview)
}, REFRESH_MS)
