import { isJsonObject } from '../contract/json.ts'
import { readLines } from '../ndjson.ts'
import { type Exit, type Peer, spawnPeer, tailOf } from '../process/index.ts'
import { SELF } from '../self.ts'
import type { AgentOrders } from './agent.ts'
import type { Scratch } from './scratch.ts'

/** What the agents have been told by swarm and have passed on. */
export interface Acknowledged {
  /** Beads whose end swarm has acknowledged, once per acknowledgement. */
  readonly finished: string[]
  /** Beads that were somebody else's when an agent wanted to go on. */
  readonly lost: string[]
  readonly faults: string[]
}

/** One running agent process. */
export interface Member {
  readonly agent: number
  readonly peer: Peer
  /** True once it has begun to ask for work. */
  ready: boolean
  /** How the process has ended. */
  exit: Exit | undefined
  /** True when it was killed on purpose. */
  killed: boolean
}

export interface Crew {
  readonly members: readonly Member[]
  readonly acknowledged: Acknowledged
  start(agent: number): Promise<Member>
  /** Tells every agent its pace, in ms. */
  setPace(ms: number): void
  /** Agents that ended as no agent should, with the end of what they wrote on stderr. */
  faults(): readonly string[]
  /** Lets the agents give back what they hold and leave; ends those that do not. */
  stop(): Promise<void>
}

const LEAVE_MS = 4_000
const KEPT_STDERR = 2_000

/** Starts agent processes, each the leader of a process group of its own, and listens to what they say. */
export function createCrew(
  scratch: Scratch,
  orders: Omit<AgentOrders, 'agent_id' | 'peers'>,
  agents: readonly number[],
): Crew {
  const members: Member[] = []
  const complaints = new Map<Member, string>()
  const acknowledged: Acknowledged = { finished: [], lost: [], faults: [] }
  let pace_ms = orders.pace_ms

  const listen = async (member: Member) => {
    const { agent, peer } = member
    for await (const { value } of readLines(peer.stdout)) {
      if (!isJsonObject(value)) continue
      if (value.ready === true) member.ready = true
      if (typeof value.finished === 'string') acknowledged.finished.push(value.finished)
      if (typeof value.lost === 'string') acknowledged.lost.push(value.lost)
      if (typeof value.fault === 'string') acknowledged.faults.push(`agent ${agent}: ${value.fault}`)
    }
  }
  return {
    members,
    acknowledged,
    async start(agent) {
      const peers = agents.filter((other) => other !== agent)
      const own: AgentOrders = { ...orders, pace_ms, agent_id: agent, peers }
      const peer = await spawnPeer({
        argv: [...orders.swarm, SELF.demoAgent, JSON.stringify(own)],
        cwd: scratch.root,
        env: scratch.env,
        stderr: 'pipe',
      })
      const member: Member = { agent, peer, ready: false, exit: undefined, killed: false }
      peer.exited.then((exit) => {
        member.exit = exit
      })
      peer.stderr?.on('data', (chunk: Buffer) => {
        complaints.set(member, `${complaints.get(member) ?? ''}${chunk}`.slice(-KEPT_STDERR))
      })
      members.push(member)
      listen(member).catch(() => {})
      return member
    },
    setPace(ms) {
      pace_ms = ms
      for (const { peer, exit } of members)
        if (!exit) peer.stdin.write(`${JSON.stringify({ pace_ms: ms })}\n`)
    },
    faults() {
      const broken = members.filter(({ exit, killed }) => exit && exit.exitCode !== 0 && !killed)
      return [
        ...acknowledged.faults,
        ...broken.map((member) => {
          const { exitCode, signal } = member.exit ?? {}
          const said = tailOf(complaints.get(member) ?? '', KEPT_STDERR)
          return `agent ${member.agent} ended by ${signal ?? `exit code ${exitCode}`}${said ? `: ${said}` : ''}`
        }),
      ]
    },
    async stop() {
      await Promise.all(members.map(({ peer }) => peer.end(LEAVE_MS)))
    },
  }
}
