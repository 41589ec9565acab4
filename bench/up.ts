import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { pauseOrAbort } from '../src/contract/pause.ts'
import { ownCpuMs } from './cpu.ts'
import { quantile, type Section } from './measure.ts'
import type { BenchServer } from './server.ts'
import { makeYard } from './yard.ts'

const AGENTS = 200
const BEADS = 10_000
const TARGET = 250
/** What a demo agent takes for its work. */
const PACE_MS = 20_000

/** A run with many demo agents on this machine over a large backlog, until a part of it has landed. */
export async function benchUp(server: BenchServer): Promise<Section> {
  const yard = await makeYard(
    server,
    'up',
    [
      '[[workflows.default.stages]]',
      'name = "implement"',
      'roles = ["implementer"]',
      'gate = ["git", "diff", "--check", "HEAD~1", "HEAD"]',
      'timeout_ms = 60000',
      '[landing]',
      'target = "main"',
      'remote = "origin"',
      '[agents.default]',
      'adapter = "demo"',
      `args = [${JSON.stringify(JSON.stringify({ pace_ms: PACE_MS }))}]`,
    ],
    true,
  )
  const { sql } = server
  try {
    await sql`insert into swarm.bead_backlog (repo_id, bead_id, title, workflow, stage, priority)
      select 'up', 'b' || n, 'bead ' || n, 'default', 'implement', 'p' || n % 5 from generate_series(1, ${BEADS}) n`
    await sql`vacuum analyze`
    const begun = performance.now()
    const { child, ended } = yard.up('--agents', `implementer=${AGENTS}`, '--target', String(TARGET))
    const watched = watch(child, server)
    const { landed } = await ended
    const seconds = (performance.now() - begun) / 1_000
    const { peakMb, restMb, cpuMs, atOnce } = await watched
    const [rate] = await sql<{ per_minute: number }[]>`
      select (count(*) - 1) / extract(epoch from max(at) - min(at))::float8 * 60 as per_minute from swarm.landings
      where repo_id = 'up' and status = 'landed'`
    return {
      title: 'A run with many agents',
      how: `\`swarm up --agents implementer=${AGENTS} --target ${TARGET}\` with demo agents that take ${PACE_MS / 1_000} s for a bead, a worktree, a commit, a gate and a landing with a push for each; ${BEADS.toLocaleString('en')} beads in the backlog; agents, Postgres and git on the same two cores. The process is the one that leads and is the host of all sessions; git and agents are processes of their own`,
      rows: [
        { what: 'landed', value: `${landed} in ${seconds.toFixed(0)} s` },
        {
          what: 'beads a minute, from the first landing to the last',
          value: (rate?.per_minute ?? Number.NaN).toFixed(0),
        },
        { what: 'sessions at once, at most', value: String(atOnce) },
        {
          what: 'memory of the process',
          value: `peak ${peakMb.toFixed(0)} MB, median ${restMb.toFixed(0)} MB`,
        },
        {
          what: 'CPU time of the process',
          value: `${(cpuMs / 1_000).toFixed(1)} s, ${(cpuMs / 10 / seconds).toFixed(0)}% of a core`,
        },
      ],
    }
  } finally {
    yard.remove()
  }
}

/** Looks at the process and its sessions every half a second, until it has ended. */
async function watch(child: ChildProcess, { sql }: BenchServer) {
  const over = new AbortController()
  child.once('exit', () => over.abort())
  const rss: number[] = []
  let [peakMb, cpuMs, atOnce] = [0, 0, 0]
  while (!over.signal.aborted) {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
      const mb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1_024
      peakMb = Math.max(peakMb, mb('VmHWM') || 0)
      rss.push(mb('VmRSS') || 0)
      cpuMs = ownCpuMs(child.pid ?? 0)
    } catch {
      // it has just ended
    }
    const [row] = await sql<{ n: number }[]>`
      select count(*)::integer as n from swarm.agent_sessions where repo_id = 'up' and started_at is not null and ended_at is null`
    atOnce = Math.max(atOnce, row?.n ?? 0)
    await pauseOrAbort(500, over.signal)
  }
  return { peakMb, restMb: quantile(rss, 0.5), cpuMs, atOnce }
}
