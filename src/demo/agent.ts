import { setTimeout as delay } from 'node:timers/promises'
import { isJsonObject, type JsonObject } from '../contract/json.ts'
import { readLines } from '../ndjson.ts'
import { openSwarm, type SwarmPipe } from './swarm-pipe.ts'
import { decideAttempt } from './work.ts'

/** What a demo agent is told when it is started, as JSON in its last argument. */
export interface AgentOrders {
  readonly agent_id: number
  /** The others, to write to. */
  readonly peers: readonly number[]
  readonly lease_ms: number
  /** Mean length of one attempt; told anew on stdin as `{"pace_ms":…}`. */
  readonly pace_ms: number
  readonly seed: number
  readonly swarm: readonly string[]
}

/** What a demo agent says on stdout, one JSON line each. */
export type AgentReport =
  /** It has begun to ask for work. */
  | { readonly ready: true }
  /** swarm has acknowledged that the bead is finished. */
  | { readonly finished: string }
  /** swarm has told it that the bead is somebody else's by now. */
  | { readonly lost: string }
  | { readonly fault: string }

/** Waiting in short turns lets an agent read its mail in between and leave when all is done. */
const WAIT_MS = 500

/**
 * A demo agent: a process of its own that talks to its own `swarm` process. It claims a bead, takes it stage after stage,
 * tells the others, and leaves when nothing is left to do or when its stdin ends (then it gives its bead back).
 */
export async function runDemoAgent(orders: AgentOrders): Promise<void> {
  const stop = new AbortController()
  const pace = { ms: orders.pace_ms }
  listen(pace, stop)
  const swarm = await openSwarm({ swarm: orders.swarm, cwd: process.cwd(), group: 'parent' })
  report({ ready: true })
  try {
    await work(orders, swarm, pace, stop.signal)
  } catch (error) {
    report({ fault: error instanceof Error ? error.message : String(error) })
    process.exitCode = 1
  } finally {
    await swarm.close()
    process.stdin.destroy()
  }
}

async function listen(pace: { ms: number }, stop: AbortController): Promise<void> {
  try {
    for await (const { value } of readLines(process.stdin)) {
      if (isJsonObject(value) && typeof value.pace_ms === 'number') pace.ms = value.pace_ms
    }
  } catch {
    // stdin was closed by ourselves, on the way out
  } finally {
    stop.abort()
  }
}

async function work(
  orders: AgentOrders,
  swarm: SwarmPipe,
  pace: { readonly ms: number },
  signal: AbortSignal,
): Promise<void> {
  const { agent_id, lease_ms } = orders
  while (!signal.aborted) {
    const claim = await swarm.get({ cmd: 'claim-next', agent_id, lease_ms, wait_ms: WAIT_MS })
    if (isJsonObject(claim.bead)) await workOn(orders, swarm, claim, pace, signal)
    else if (claim.reason !== 'waiting') return
    await swarm.get({ cmd: 'inbox', agent_id })
  }
}

/** Takes one bead through its stages, as long as swarm leaves it with this agent. */
async function workOn(
  orders: AgentOrders,
  swarm: SwarmPipe,
  claim: JsonObject,
  pace: { readonly ms: number },
  signal: AbortSignal,
): Promise<void> {
  const { agent_id, seed } = orders
  const bead_id = isJsonObject(claim.bead) ? String(claim.bead.bead_id) : ''
  let { stage, attempt } = claim
  for (;;) {
    const { length, outcome, feedback } = decideAttempt(seed, bead_id, String(stage), Number(attempt))
    await delay(pace.ms * length, undefined, { signal }).catch(() => {})
    if (signal.aborted) {
      await swarm.ask({ cmd: 'release', agent_id, bead_id, reason: 'the demo was stopped' })
      return
    }
    const done = await swarm.ask({
      cmd: 'complete-stage',
      agent_id,
      bead_id,
      outcome,
      feedback,
      artifacts: [
        {
          artifact_type: 'stage_log',
          content: `${stage} of ${bead_id}, attempt ${attempt}: ${feedback ?? 'done'}`,
        },
      ],
    })
    if (!done.ok) {
      if (done.err.code !== 'CONFLICT') throw new Error(`complete-stage: ${done.err.code}: ${done.err.msg}`)
      report({ lost: bead_id })
      return
    }
    if (done.d.transition === 'finalize') report({ finished: bead_id })
    await tell(orders, swarm, bead_id, String(stage), done.d, feedback)
    if (done.d.kept !== true) return
    ;({ stage, attempt } = done.d)
  }
}

/** Tells the others what they can use: a bead to look at, a finding, a bead that is done. */
async function tell(
  { agent_id, peers }: AgentOrders,
  swarm: SwarmPipe,
  bead_id: string,
  stage: string,
  { transition }: JsonObject,
  feedback: string | undefined,
): Promise<void> {
  const to = peers[(agent_id + bead_id.length) % peers.length]
  if (transition === 'finalize') {
    await swarm.get({ cmd: 'broadcast', from: agent_id, msg: `${bead_id} is done` })
  } else if (feedback !== undefined && to !== undefined) {
    const message_type = stage === 'red-queen' ? 'red_queen_failed' : 'qa_failed'
    await swarm.get({ cmd: 'send', agent_id, to, bead_id, message_type, subject: stage, body: feedback })
  } else if (stage === 'implement' && to !== undefined) {
    const body = `${bead_id} is ready to be looked at`
    await swarm.get({ cmd: 'send', agent_id, to, bead_id, message_type: 'implementation_ready', body })
  }
}

function report(said: AgentReport): void {
  process.stdout.write(`${JSON.stringify(said)}\n`)
}
