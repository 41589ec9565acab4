import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join, sep } from 'node:path'
import type postgres from 'postgres'
import type { Yard } from '../orchestrator/support.ts'

interface Landing {
  readonly bead_id: string
  readonly base: string
  readonly head: string
  readonly tree: string
  readonly commit_hash: string | null
  readonly reason: string | null
}

/**
 * Everything that is wrong after a run in which all beads were to land, in words; empty when nothing is. Rows, the branch here and the branch
 * of the remote must tell the same; whatever the branch ever named must have been tested; nothing may be left over.
 */
export async function wrongWith(yard: Yard, sql: postgres.Sql, tmp: string): Promise<readonly string[]> {
  return [
    ...(await wrongRows(yard, sql)),
    ...(await wrongHistory(yard, sql)),
    ...(await untested(yard, sql)),
    ...(await leftOver(yard, tmp)),
  ]
}

/** Beads that are lost, stranded or done twice. */
async function wrongRows({ repo }: Yard, sql: postgres.Sql): Promise<string[]> {
  const open = await sql<{ bead_id: string; status: string; stage: string }[]>`
    select bead_id, status, stage from swarm.bead_backlog where repo_id = ${repo} and status <> 'completed'`
  const twice = await sql<{ bead_id: string; stage: string; n: number }[]>`
    select bead_id, stage, count(*)::int as n from swarm.stage_history
    where repo_id = ${repo} and status = 'passed' group by 1, 2 having count(*) <> 1`
  const told = await sql<{ bead_id: string; n: number }[]>`
    select b.bead_id, count(e.seq)::int as n from swarm.bead_backlog b left join swarm.execution_events e
      on e.repo_id = b.repo_id and e.bead_id = b.bead_id and e.event_type = 'landing_landed'
    where b.repo_id = ${repo} and b.status = 'completed' group by 1 having count(e.seq) <> 1`
  const sessions = await sql<{ session_id: string }[]>`
    select session_id from swarm.agent_sessions where repo_id = ${repo} and ended_at is null`
  const [row] = await sql<{ found: Record<string, number> }[]>`select swarm.invariants(${repo}) as found`
  return [
    ...open.map(({ bead_id, status, stage }) => `${bead_id} is ${status} at ${stage}`),
    ...twice.map(({ bead_id, stage, n }) => `${bead_id} passed ${stage} ${n} times`),
    ...told.map(({ bead_id, n }) => `the log says ${n} times that ${bead_id} has landed`),
    ...sessions.map(({ session_id }) => `session ${session_id} has no end`),
    ...Object.entries(row?.found ?? {})
      .filter(([name, n]) => !['beads', 'completed', 'retried'].includes(name) && n !== 0)
      .map(([name, n]) => `invariant ${name}: ${n}`),
  ]
}

/** The branch must be what the landings say, one after the other, each bead once, here and on the remote. */
async function wrongHistory({ repo, scratch }: Yard, sql: postgres.Sql): Promise<string[]> {
  const { git, remote } = scratch
  const landings = await sql<Landing[]>`
    select l.bead_id, l.base, l.head, l.tree, b.commit_hash, l.reason from swarm.landings l
    join swarm.bead_backlog b on b.repo_id = l.repo_id and b.bead_id = l.bead_id
    where l.repo_id = ${repo} and l.status = 'landed' order by l.id`
  const wrong: string[] = []
  const beads = landings.map(({ bead_id }) => bead_id)
  for (const bead of beads.filter((one, at) => beads.indexOf(one) !== at))
    wrong.push(`${bead} has two landings`)
  const byBase = new Map(landings.map((one) => [one.base, one]))
  let head = git(['rev-list', '--max-parents=0', 'main'])
  for (let at = 0; at < landings.length; at++) {
    const next = byBase.get(head)
    if (!next) break
    byBase.delete(head)
    if (next.commit_hash !== next.head) wrong.push(`${next.bead_id} names ${next.commit_hash}`)
    if (git(['rev-parse', `${next.head}^{tree}`]) !== next.tree)
      wrong.push(`${next.bead_id} has another tree`)
    const subjects = git(['log', '--format=%s', `${next.base}..${next.head}`]).split('\n')
    if (subjects.some((line) => line !== `Work on ${next.bead_id}`))
      wrong.push(`${next.bead_id} landed with ${subjects.join(', ')}`)
    head = next.head
  }
  for (const one of byBase.values())
    wrong.push(`${one.bead_id} is said to have landed on ${one.base} (${one.reason})`)
  const [here, there] = [git(['rev-parse', 'main']), git(['rev-parse', 'main'], remote)]
  if (head !== here) wrong.push(`landings end at ${head}, main is at ${here}`)
  if (here !== there) wrong.push(`main is at ${here}, the remote at ${there}`)
  const changes = git(['status', '--porcelain'])
  if (changes !== '') wrong.push(`the working copy is not as main: ${changes}`)
  return wrong
}

/** Trees that the target branch has had, here or on the remote, and of which no gate has said that they are good. */
async function untested({ repo, scratch }: Yard, sql: postgres.Sql): Promise<string[]> {
  const { git, root, remote } = scratch
  const rows = await sql<{ tree: string }[]>`
    select distinct e ->> 'tree' as tree from swarm.landings l, jsonb_array_elements(l.evidence) e
    where l.repo_id = ${repo} and e ->> 'exit_code' = '0'`
  const green = new Set(rows.map(({ tree }) => tree))
  const first = git(['rev-list', '--max-parents=0', 'main'])
  return [root, remote ?? ''].flatMap((place) =>
    git(['log', '--walk-reflogs', '--format=%H %T', 'main'], place)
      .split('\n')
      .map((line) => line.split(' '))
      .filter(([commit = '', tree = '']) => commit !== '' && commit !== first && !green.has(tree))
      .map(([commit]) => `${commit} was on main of ${place} untested`),
  )
}

/** Processes, worktrees, branches, refs, files. Refs are meant to stay that hold work of sessions that were killed or came too late. */
async function leftOver(yard: Yard, tmp: string): Promise<string[]> {
  const { git, root } = yard.scratch
  const home = join(root, '..')
  const refs = git(['for-each-ref', '--format=%(refname)', 'refs/swarm/']).split('\n').filter(Boolean)
  const gitFiles = readdirSync(join(root, '.git'), { recursive: true, encoding: 'utf8' })
  return [
    ...(await yard.leftovers()),
    ...refs.filter((ref) => !/^refs\/swarm\/(salvage|candidate)\//.test(ref) || isLanded(yard, ref)),
    ...gitFiles.filter((name) => name.endsWith('.lock') || name.includes('swarm-')),
    ...readdirSync(join(root, '.swarm', 'worktrees')).map((name) => `${name}: ${stateOf(yard, name)}`),
    ...readdirSync(tmp),
    ...processesIn([home, tmp]),
  ]
}

function stateOf({ scratch }: Yard, name: string): string {
  const { git, root } = scratch
  const cwd = join(root, '.swarm', 'worktrees', name)
  return [
    ...readdirSync(cwd),
    git(['status', '--short', '--branch'], cwd),
    git(['log', '--format=%h %s', '-4', '--all'], cwd),
  ].join('; ')
}

function isLanded({ scratch }: Yard, ref: string): boolean {
  return scratch.git(['rev-list', '--count', `main..${ref}`]) === '0'
}

/** Processes whose directory lies in one of these. */
export function processesIn(places: readonly string[]): readonly string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return []
    try {
      const cwd = readlinkSync(`/proc/${pid}/cwd`)
      if (!places.some((place) => cwd === place || cwd.startsWith(place + sep))) return []
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      return words === '' ? [] : [`process ${pid} in ${cwd}: ${words.slice(0, 200)}`]
    } catch {
      return []
    }
  })
}
