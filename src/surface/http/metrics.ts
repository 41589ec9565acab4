import { Counter, Gauge, Registry } from 'prom-client'
import { isJsonObject, type Json } from '../../contract/json.ts'
import { answerReply, answerText } from './answer.ts'
import { type Ctx, goneSignal } from './asked.ts'
import { perform } from './perform.ts'

/** What a server tells Prometheus. */
export interface Metrics {
  /** Counts an answered request. `route` is a pattern, so that there are only so many. */
  count(method: string, route: string, status: number): void
  /** `GET /metrics`: what the verbs status and ps say at this moment, for who may send them. */
  answer(c: Ctx): Promise<Response>
}

const METHODS = new Set(['GET', 'POST', 'PATCH', 'DELETE'])

/** `streams`: how many are open, by kind. */
export function createMetrics(repo: string, streams: () => Readonly<Record<string, number>>): Metrics {
  const registry = new Registry()
  registry.setDefaultLabels({ repo })
  const registers = [registry]
  const gauge = (name: string, help: string, ...labelNames: string[]) =>
    new Gauge({ name: `swarm_${name}`, help, labelNames, registers })
  const requests = new Counter({
    name: 'swarm_http_requests_total',
    help: 'Requests answered',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  const open = gauge('http_streams', 'Open streams', 'kind')
  const memory = gauge('process_resident_memory_bytes', 'Memory of the server')
  const beads = gauge('beads', 'Beads in each status', 'status')
  const ready = gauge('beads_ready', 'Beads that can be claimed')
  const agents = gauge('agents', 'Agents in each status', 'status')
  const claims = gauge('claims', 'Claims in progress')
  const oldest = gauge('oldest_claim_seconds', 'Age of the oldest claim; 0 without one')
  const events = gauge('events_last_minute', 'Events recorded in the last minute')
  const sessions = gauge('sessions', 'Open sessions in each status', 'status')
  const hosts = gauge('hosts', 'Hosts heard of in the last hour')
  const train = gauge('landing_train', 'Landings in each status', 'status')
  const questions = gauge('questions_open', 'Questions that nobody has answered')
  const usd = gauge('spent_usd', 'Spent in the latest run')
  const tokens = gauge('spent_tokens', 'Tokens of the latest run')

  const byStatus = (target: Gauge, counts: Json | undefined) => {
    target.reset()
    if (isJsonObject(counts))
      for (const [status, n] of Object.entries(counts)) target.set({ status }, Number(n))
  }
  const rowsByStatus = (target: Gauge, rows: Json | undefined) => {
    target.reset()
    for (const row of listOf(rows)) if (isJsonObject(row)) target.inc({ status: String(row.status) })
  }

  return {
    count(method, route, status) {
      requests.inc({ method: METHODS.has(method) ? method : 'other', route, status: String(status) })
    },
    async answer(c) {
      const { dispatcher } = c.get('asked')
      const gone = () => goneSignal(c.env.outgoing)
      const status = await perform(dispatcher, { cmd: 'status' }, { gone })
      const ps = status.ok ? await perform(dispatcher, { cmd: 'ps' }, { gone }) : status
      if (!status.ok || !ps.ok) return answerReply(c, status.ok ? ps : status)
      const now = isJsonObject(status.d) ? status.d : {}
      const run = isJsonObject(ps.d) ? ps.d : {}
      const spent = isJsonObject(run.spent) ? run.spent : {}
      byStatus(beads, now.beads)
      byStatus(agents, now.agents)
      ready.set(Number(now.ready))
      claims.set(Number(now.claims))
      oldest.set(isJsonObject(now.oldest_claim) ? Number(now.oldest_claim.held_ms) / 1000 : 0)
      events.set(Number(now.events_last_minute))
      rowsByStatus(sessions, run.sessions)
      rowsByStatus(train, run.train)
      hosts.set(listOf(run.hosts).length)
      questions.set(listOf(run.questions).length)
      usd.set(Number(spent.usd ?? 0))
      tokens.set(Number(spent.tokens ?? 0))
      memory.set(process.memoryUsage.rss())
      for (const [kind, n] of Object.entries(streams())) open.set({ kind }, n)
      return answerText(c, 200, await registry.metrics(), { 'content-type': registry.contentType })
    },
  }
}

function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : []
}
