import type { JsonObject } from '../contract/json.ts'
import type { Overview } from '../contract/run-rows.ts'
import { findMarked } from '../process/index.ts'
import type { Board } from './board.ts'
import { DEMO_REPO, type Scratch } from './scratch.ts'
import type { Up } from './ups.ts'

interface Victim {
  readonly agent_id: number
  readonly bead_id: string
  readonly session_id: string
  readonly pid: number
}

/** An agent that was killed, and what became of its bead. */
export interface KilledAgent extends JsonObject, Victim {
  /** Why its session ended, as its host has found out. */
  readonly reason: string
}

/** A leader that was killed, and how it was followed. */
export interface KilledLeader extends JsonObject {
  readonly pid: number
  readonly term: number
  readonly next_term: number
  readonly after_ms: number
}

/** What goes wrong on purpose: first an agent is killed, then the process that leads. */
export interface Story {
  step(overview: Overview): Promise<void>
  agent(): KilledAgent | undefined
  leader(): KilledLeader | undefined
}

/** The agent is killed when this part has landed, the leader when that part has and the agent was killed, or at the latest. */
const AGENT_AT = 0.15
const LEADER_AT = 0.35
const LEADER_LATEST = 0.6

export function createStory(
  scratch: Scratch,
  board: Board,
  ups: readonly Up[],
  elapsedMs: () => number,
): Story {
  let victim: Victim | undefined
  let agent: KilledAgent | undefined
  let struck: { readonly pid: number; readonly term: number; readonly at: number } | undefined
  let leader: KilledLeader | undefined
  const alarm = (text: string) => board.say('alarm', text, elapsedMs())

  const killAgent = async ({ sessions }: Overview) => {
    for (const { session_id, agent_id, bead_id, stage } of sessions) {
      if (stage !== 'implement') continue
      const [row] = await scratch.db.read<{ marker: string | null }>(
        'select marker from swarm.agent_sessions where repo_id = $1 and session_id = $2 and ended_at is null',
        [DEMO_REPO, session_id],
      )
      const found = row?.marker ? (findMarked(row.marker) ?? []) : []
      const [program] = found
      if (!program) continue
      for (const { pid } of found) kill(pid)
      victim = { agent_id, bead_id, session_id, pid: program.pid }
      return
    }
  }

  /** One that had finished just before was not killed at its work: another one is looked for. */
  const seeEnd = async (one: Victim) => {
    const [row] = await scratch.db.read<{ reason: string | null }>(
      'select reason from swarm.agent_sessions where repo_id = $1 and session_id = $2',
      [DEMO_REPO, one.session_id],
    )
    if (!row?.reason) return
    victim = undefined
    if (row.reason !== 'crashed') return
    alarm(`agent ${one.agent_id} was killed (SIGKILL, pid ${one.pid}) at ${one.bead_id}`)
    agent = { ...one, reason: row.reason }
  }

  const killLeader = async ({ leader: now }: Overview) => {
    const pid = now && (await processOf(scratch, now.holder))
    const up = ups.find(({ peer, exit }) => peer.pid === pid && !exit())
    if (!up || !now) return
    up.peer.kill('SIGKILL')
    struck = { pid: up.peer.pid, term: now.term, at: performance.now() }
    alarm(`the leader was killed (SIGKILL, pid ${up.peer.pid}, term ${now.term})`)
  }

  const seeFollower = async ({ leader: now }: Overview, since: NonNullable<typeof struck>) => {
    if (!now || now.term === since.term || now.holder === '') return
    const after_ms = Math.round(performance.now() - since.at)
    leader = { pid: since.pid, term: since.term, next_term: now.term, after_ms }
    alarm(`the stand-by leads now (term ${now.term}), ${(after_ms / 1_000).toFixed(1)} s later`)
  }

  return {
    agent: () => agent,
    leader: () => leader,
    async step(overview) {
      const { leader: now } = overview
      const pid = now && now.holder !== '' ? await processOf(scratch, now.holder) : undefined
      board.leader = pid && now ? `pid ${pid} leads, term ${now.term}` : 'nobody leads'
      const done = board.landed / Math.max(1, board.total)
      if (!agent && victim) await seeEnd(victim)
      else if (!agent && (!struck || leader) && done >= AGENT_AT) await killAgent(overview)
      if (!struck && !victim && done >= (agent ? LEADER_AT : LEADER_LATEST)) await killLeader(overview)
      if (struck && !leader) await seeFollower(overview, struck)
    },
  }
}

/** The process that holds the leadership, found by its host: both are named after the same random id. */
async function processOf({ db }: Scratch, holder: string): Promise<number | undefined> {
  const [row] = await db.read<{ pid: string }>(
    `select split_part(process, '.', 2) as pid from swarm.hosts where repo_id = $1 and right(host_id, 8) = left($2, 8)`,
    [DEMO_REPO, holder],
  )
  return row ? Number(row.pid) : undefined
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has ended meanwhile
  }
}
