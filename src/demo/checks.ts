import { readdirSync } from 'node:fs'
import type { JsonObject } from '../contract/json.ts'
import { findMarked } from '../process/index.ts'
import { git, tryGit } from '../workspaces/git.ts'
import { type Scratch, TARGET } from './scratch.ts'

/** One thing that was checked. */
export interface Check extends JsonObject {
  readonly name: string
  readonly ok: boolean
  /** What was found, in a line. */
  readonly told: string
}

export interface Rows {
  readonly beads: number
  readonly completed: readonly { readonly bead_id: string; readonly commit_hash: string | null }[]
  readonly landings: readonly {
    readonly base: string
    readonly head: string
    readonly tree: string
    /** Its gates passed on this very tree. */
    readonly gated: boolean
  }[]
  readonly sessions: number
  readonly markers: readonly string[]
  readonly invariants: {
    readonly lost: number
    readonly doubled: number
    readonly leases: number
    readonly miscounted: number
  }
}

/** Runs one statement; how is the caller's affair. */
type Read = (statement: string, params: string[]) => Promise<readonly { readonly rows: Rows }[]>

/** What a finished run looks like in the database. */
export async function readRows(read: Read, repo: string): Promise<Rows> {
  const [row] = await read(
    `select jsonb_build_object(
      'beads', (select count(*) from swarm.bead_backlog where repo_id = $1),
      'completed', (select coalesce(jsonb_agg(jsonb_build_object('bead_id', bead_id, 'commit_hash', commit_hash)), '[]')
        from swarm.bead_backlog where repo_id = $1 and status = 'completed'),
      'landings', (select coalesce(jsonb_agg(jsonb_build_object('base', l.base, 'head', l.head, 'tree', l.tree, 'gated', exists (
          select from swarm.stage_history h join swarm.stage_artifacts a on a.stage_history_id = h.id
          where h.repo_id = $1 and h.bead_id = l.bead_id and h.stage = 'land' and h.status = 'passed' and a.trust = 'verified'
            and a.metadata ->> 'tree' = l.tree and a.metadata ->> 'exit_code' = '0')) order by l.at), '[]')
        from swarm.landings l where l.repo_id = $1 and l.status = 'landed'),
      'sessions', (select count(*) from swarm.agent_sessions where repo_id = $1),
      'markers', (select coalesce(jsonb_agg(marker), '[]') from swarm.agent_sessions where repo_id = $1 and marker is not null),
      'invariants', swarm.invariants($1)) as rows`,
    [repo],
  )
  if (!row) throw new Error('the database did not answer the check')
  return row.rows
}

/** Holds the rows against each other and against what `swarm up` has answered. */
export function checkRows(
  { completed, landings, invariants }: Omit<Rows, 'beads' | 'sessions' | 'markers'>,
  answered: number | undefined,
): Check {
  const { lost, doubled, leases, miscounted } = invariants
  const same = completed.length === landings.length && completed.length === answered
  return {
    name: 'database',
    ok: same && lost + doubled + leases + miscounted === 0,
    told: `${completed.length} beads, ${landings.length} landings, up said ${answered ?? 'none'}; ${lost} lost, ${doubled} doubled, ${leases} leases left`,
  }
}

/** Holds the rows against the remote: every commit on its target branch is one of a landing, and every bead's commit is there. */
export async function checkGit(
  { completed, landings }: Pick<Rows, 'completed' | 'landings'>,
  scratch: Pick<Scratch, 'root' | 'remote' | 'first'>,
): Promise<Check[]> {
  const { root, remote, first } = scratch
  const head = await git(['rev-parse', '--verify', `refs/heads/${TARGET}`], { cwd: remote })
  const own = await git(['rev-parse', '--verify', `refs/heads/${TARGET}`], { cwd: root })
  const commits = Number(await git(['rev-list', '--count', `${first}..${head}`], { cwd: remote }))
  let at = first
  let inLandings = 0
  let gated = 0
  for (const landing of landings) {
    const count = await tryGit(['rev-list', '--count', `${landing.base}..${landing.head}`], { cwd: remote })
    inLandings += Number(count.stdout)
    if (landing.base !== at) inLandings = Number.NaN
    at = landing.head
    const tree = await tryGit(['rev-parse', `${landing.head}^{tree}`], { cwd: remote })
    if (landing.gated && tree.stdout === landing.tree) gated += 1
  }
  let missing = 0
  for (const { commit_hash } of completed) {
    const there = await tryGit(['merge-base', '--is-ancestor', commit_hash ?? 'none', head], { cwd: remote })
    if (there.exitCode !== 0) missing += 1
  }
  const chained = at === head && inLandings === commits
  return [
    {
      name: 'git',
      ok: chained && own === head && missing === 0,
      told: `${commits} commits on origin/${TARGET}${chained ? ', each of a landing' : ', NOT those of the landings'}; ${completed.length - missing} of ${completed.length} beads there`,
    },
    {
      name: 'gates',
      ok: gated === landings.length,
      told: `${gated} of ${landings.length} landed trees are those that a gate has passed`,
    },
  ]
}

/** Looks for what should be gone: processes of sessions, worktrees, branches, directories. `running`: processes of `swarm up`. */
export async function checkLeft(
  { markers }: Pick<Rows, 'markers'>,
  scratch: Pick<Scratch, 'root' | 'tmp'>,
  running: number,
): Promise<Check> {
  const { root, tmp } = scratch
  const processes = running + markers.filter((marker) => (findMarked(marker) ?? []).length > 0).length
  const trees = (await git(['worktree', 'list', '--porcelain'], { cwd: root })).match(/^worktree /gm) ?? []
  const branches = await git(['for-each-ref', '--format=%(refname)', 'refs/heads/swarm/'], { cwd: root })
  const changed = await git(['status', '--porcelain'], { cwd: root })
  const counts = {
    processes,
    worktrees: trees.length - 1,
    branches: branches === '' ? 0 : branches.split('\n').length,
    'changed files': changed === '' ? 0 : changed.split('\n').length,
    directories: readdirSync(tmp).filter((name) => name.startsWith('swarm-s-')).length,
  }
  return {
    name: 'left over',
    ok: Object.values(counts).every((count) => count === 0),
    told: Object.entries(counts)
      .map(([what, count]) => `${count} ${what}`)
      .join(', '),
  }
}
