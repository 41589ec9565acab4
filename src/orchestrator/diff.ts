import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { type Diff, diffOf, forkOf } from '../workspaces/diff.ts'
import { branchOf } from '../workspaces/names.ts'
import { commitOf, openRepository } from '../workspaces/repository.ts'

/** Whose work is asked for: of a bead as it stands, or as one of its sessions left it. */
export interface DiffRequest {
  readonly bead_id: string
  readonly session_id?: string | undefined
  readonly max_bytes: number
}

export interface BeadDiff extends Diff {
  readonly bead_id: string
  /** `landed`: as it is on the target branch; `session`: as a session left it; `branch`: as it is in the worktree. */
  readonly of: 'landed' | 'session' | 'branch'
  readonly session_id?: string
  readonly base: string
  readonly commit: string
}

interface Facts {
  readonly landed_base: string | null
  readonly landed_head: string | null
  readonly session_id: string | null
  readonly session_head: string | null
}

const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/

/**
 * What a bead changes. Only commits that swarm itself has noted are looked at, the landed one or that of a session, and the bead's own branch:
 * never one that a request, an agent's evidence or an event names.
 */
export async function diffOfBead(ctx: CommandContext, request: DiffRequest): Promise<BeadDiff> {
  const { bead_id, session_id, max_bytes } = request
  const facts = await readFacts(ctx, bead_id, session_id)
  const repository = await openRepository(ctx.root?.path ?? ctx.cwd, ctx.root?.config.landing?.target)
  const { commonDir, target } = repository
  const here = async (commit: string | null) =>
    commit !== null && COMMIT.test(commit) ? commitOf(commonDir, commit, true) : undefined
  const [base, head] = [await here(facts.landed_base), await here(facts.landed_head)]
  if (session_id === undefined && base !== undefined && head !== undefined)
    return { bead_id, of: 'landed', base, commit: head, ...(await diffOf(commonDir, base, head, max_bytes)) }

  const branch =
    session_id === undefined ? await commitOf(commonDir, `refs/heads/${branchOf(bead_id)}`, true) : undefined
  const commit = branch ?? (await here(facts.session_head))
  const fork = commit && (await forkOf(commonDir, `refs/heads/${target}`, commit))
  if (commit === undefined || fork === undefined) throw nothing(request, facts)
  return {
    bead_id,
    of: branch === undefined ? 'session' : 'branch',
    ...(branch === undefined && facts.session_id !== null ? { session_id: facts.session_id } : {}),
    base: fork,
    commit,
    ...(await diffOf(commonDir, fork, commit, max_bytes)),
  }
}

async function readFacts(ctx: CommandContext, bead: string, session: string | undefined): Promise<Facts> {
  const [row] = await ctx.db.read<Facts>(
    `select l.base as landed_base, l.head as landed_head, s.session_id, s.head_after as session_head
      from swarm.bead_backlog b
      left join lateral (select base, head from swarm.landings where repo_id = b.repo_id and bead_id = b.bead_id and status = 'landed'
        and b.status = 'completed' order by id desc limit 1) l on true
      left join lateral (select session_id, head_after from swarm.agent_sessions where repo_id = b.repo_id and bead_id = b.bead_id
        and ($3::text is null and head_after is not null or session_id = $3) order by queued_at desc limit 1) s on true
      where b.repo_id = $1 and b.bead_id = $2`,
    [ctx.repo, bead, session ?? null],
  )
  if (!row)
    throw new SwarmError('NOTFOUND', `there is no bead ${bead}`, { ctx: { field: 'bead_id', got: bead } })
  if (session !== undefined && row.session_id === null)
    throw new SwarmError('NOTFOUND', `bead ${bead} has no session ${session}`, {
      ctx: { field: 'session_id', got: session },
    })
  return row
}

function nothing({ bead_id }: DiffRequest, { session_head, landed_head }: Facts): SwarmError {
  const known = landed_head ?? session_head
  return new SwarmError(
    'NOTFOUND',
    known === null
      ? `nothing has been committed for bead ${bead_id} yet`
      : `the commit of bead ${bead_id} is not in the repository on this machine`,
    { ctx: { field: 'bead_id', got: bead_id, ...(known === null ? {} : { commit: known }) } },
  )
}
