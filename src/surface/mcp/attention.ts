import type { Reply } from '../../contract/envelope.ts'
import { isJsonObject, type Json, type JsonObject } from '../../contract/json.ts'
import type { Prepared } from '../../runtime/dispatch.ts'
import { type Notice, noticesOf } from './notices.ts'

/** What comes beside an answer, at most: a client cuts, or refuses, what is too long. In characters of JSON. */
const MAX_TOLD = 16_384
const MESSAGES = 10
const EVENTS = 100
/** No bead has this id: asked for its events, the log answers where it ends. */
const NOBODY = '-'
/** Verbs whose answer says how much is unread, when anything is. */
const COUNT = new Set(['claim-next', 'complete-stage', 'heartbeat', 'release'])
const SPEAKERS = ['agent_id', 'agent', 'from']
/** Nothing is asked of a database that has just refused or not answered. */
const SILENT = new Set(['UNAUTHORIZED', 'INTERNAL', 'DEPENDENCY', 'TIMEOUT'])

/** The bead that an agent of this client holds, and up to where its events have been told. */
interface Watch {
  readonly bead: string
  after: string
}

/** Questions of an agent that belong to no bead it holds, and up to where their answers have been looked for. */
interface Asked {
  readonly open: Set<string>
  after: string
}

/**
 * What the agents of one client should know besides what they ask. A model sees nothing but the results of its calls: so unread
 * messages, and what others do to the bead it holds, go with the next one, whatever it is.
 */
export interface Attention {
  /** Call it before a request runs. */
  before(request: Prepared): Promise<void>
  /** What goes beside the reply of a request (undefined: one that could not be read); and the reply without what that makes needless. */
  after(request: Prepared | undefined, reply: Reply): Promise<{ reply: Reply; told: JsonObject }>
}

/** `ask` runs a request of swarm's own: its `d`, or undefined when it is refused. */
export function createAttention(
  agentId: number | undefined,
  ask: (request: JsonObject) => Promise<Json | undefined>,
): Attention {
  const watches = new Map<number, Watch>()
  const asked = new Map<number, Asked>()
  const agents = new Set<number>(agentId === undefined ? [] : [agentId])
  let logEnd: string | undefined
  let turn: Promise<unknown> = Promise.resolve()

  /** Whose request it is. One that names nobody is that of the only agent that this client has spoken for. */
  const speakerOf = (request: Prepared | undefined): number | undefined => {
    const fields = request?.command.speakers ?? SPEAKERS
    const named = fields.map((field) => Number(request?.input[field])).find((id) => Number.isInteger(id))
    if (named !== undefined && request?.command.effect !== 'read') agents.add(named)
    if (named !== undefined) return agents.has(named) ? named : undefined
    return agents.size === 1 ? [...agents][0] : undefined
  }

  const endOfLog = async (): Promise<string | undefined> => {
    const d = await ask({ cmd: 'events', bead_id: NOBODY, limit: 1 })
    return isJsonObject(d) && typeof d.cursor === 'string' ? d.cursor : undefined
  }

  const note = (agent: number, request: Prepared, d: Json) => {
    const { name } = request.command
    if (!isJsonObject(d)) return
    if (name === 'claim-next' && isJsonObject(d.bead) && logEnd !== undefined) {
      const bead = String(d.bead.bead_id)
      if (watches.get(agent)?.bead !== bead) watches.set(agent, { bead, after: logEnd })
    }
    // that of the held bead is among what happens to it
    const { bead_id } = request.input
    const isOwnBead = bead_id !== undefined && bead_id === watches.get(agent)?.bead
    if (name === 'ask' && logEnd !== undefined && !isOwnBead) {
      const { open, after } = asked.get(agent) ?? { open: new Set<string>(), after: logEnd }
      asked.set(agent, { open: open.add(String(d.question_id)), after })
    }
    if (name === 'release' || (name === 'complete-stage' && d.kept === false)) watches.delete(agent)
  }

  const changes = async (agent: number): Promise<readonly Notice[]> => {
    const watch = watches.get(agent)
    if (!watch) return []
    const d = await ask({ cmd: 'events', bead_id: watch.bead, after: watch.after, limit: EVENTS })
    if (!isJsonObject(d) || !Array.isArray(d.events)) {
      // a cursor that is not of this log any more
      watches.delete(agent)
      return []
    }
    watch.after = String(d.cursor)
    const { notices: found, ended } = noticesOf(d.events, agent)
    if (ended) watches.delete(agent)
    return found
  }

  const answers = async (agent: number): Promise<readonly Notice[]> => {
    const questions = asked.get(agent)
    if (!questions) return []
    const { after, open } = questions
    const d = await ask({
      cmd: 'events',
      agent_id: agent,
      event_type: 'question_answered',
      after,
      limit: EVENTS,
    })
    if (!isJsonObject(d) || !Array.isArray(d.events)) return []
    questions.after = String(d.cursor)
    const { notices: all } = noticesOf(d.events, agent)
    const found = all.filter(
      ({ payload }) => isJsonObject(payload) && open.delete(String(payload.question_id)),
    )
    if (open.size === 0) asked.delete(agent)
    return found
  }

  const messages = async (agent: number): Promise<JsonObject> => {
    const request = { cmd: 'inbox', agent_id: agent, limit: MESSAGES }
    const peeked = inbox(await ask({ ...request, peek: true }))
    if (!peeked || Object.keys(peeked).length === 0) return {}
    // too long to go beside another answer: inbox is asked for it
    if (JSON.stringify(peeked).length > MAX_TOLD) return { unread: peeked.unread ?? 1 }
    const { unread, ...read } = inbox(await ask(request)) ?? {}
    return { ...read, ...(unread ? { unread } : {}) }
  }

  const told = async (agent: number, request: Prepared | undefined, reply: Reply): Promise<JsonObject> => {
    const counted = request && COUNT.has(request.command.name) && reply.ok
    const mayHave = counted ? isJsonObject(reply.d) && reply.d.unread !== undefined : true
    const asksItself = request?.command.name === 'inbox'
    const notices = [...(await changes(agent)), ...(await answers(agent))]
    const beside = mayHave && !asksItself ? await messages(agent) : {}
    return notices.length > 0 ? { ...beside, notices } : beside
  }

  return {
    async before(request) {
      if (request.command.name === 'claim-next' || request.command.name === 'ask')
        logEnd = (await endOfLog()) ?? logEnd
    },
    async after(request, reply) {
      const agent = speakerOf(request)
      if (agent === undefined || (!reply.ok && SILENT.has(reply.error.code))) return { reply, told: {} }
      if (reply.ok && request) note(agent, request, reply.d)
      // one after the other: what one answer tells, the next does not
      const mine = turn.then(() => told(agent, request, reply))
      turn = mine.catch(() => {})
      const beside = await mine
      return { reply: withoutCount(reply, beside), told: beside }
    },
  }
}

/** What there is in an inbox, without its empty lists. */
function inbox(d: Json | undefined): JsonObject | undefined {
  if (!isJsonObject(d)) return undefined
  const lists = Object.entries(d).filter(([, value]) => Array.isArray(value) && value.length > 0)
  return { ...Object.fromEntries(lists), ...(Number(d.unread) > 0 ? { unread: d.unread } : {}) }
}

/** Messages that are there need not be counted too. */
function withoutCount(reply: Reply, told: JsonObject): Reply {
  if (!reply.ok || !isJsonObject(reply.d) || (!told.messages && !told.broadcasts)) return reply
  const { unread: _, ...d } = reply.d
  return { ...reply, d }
}
