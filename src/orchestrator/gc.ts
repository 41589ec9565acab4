import { readdir, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { CommandContext } from '../contract/command.ts'
import { processesWithin } from '../process/index.ts'
import { readFunction } from '../runtime/read.ts'
import { orphanedCheckouts, sweepCheckouts } from '../workspaces/checkout.ts'
import { orphanedIndexes, sweepIndexes } from '../workspaces/own-index.ts'
import { listRefs, removeRef } from '../workspaces/refs.ts'
import type { Repository } from '../workspaces/repository.ts'
import { type Kept, removeWorkspace, whyKept, workspaceOf } from '../workspaces/workspace.ts'
import { orphanedPaths } from './leftovers.ts'
import { removeSessionPaths } from './session-paths.ts'
import { beadsHere } from './tidy.ts'

/** Something that was found, and why it was removed or left. */
export interface Found {
  readonly kind: 'workspace' | 'checkout' | 'index' | 'ref' | 'directory' | 'log'
  /** A bead's id, a path, a ref, or a session's id. */
  readonly name: string
  readonly why: string
}

export interface Collected {
  readonly removed: readonly Found[]
  readonly left: readonly Found[]
}

interface Facts {
  readonly beads: Readonly<
    Record<string, { readonly status: string; readonly session?: string; readonly landed?: string }>
  >
  /** Of these sessions, those that are over. */
  readonly ended: readonly string[]
}

/**
 * How it is done: `dry` removes nothing; logs of sessions that have ended stay for so long; with `knownOnly`, what belongs to beads that this
 * database does not know is left alone without a word: another one may work in the same repository.
 */
export interface CollectOptions {
  readonly dry: boolean
  readonly keepLogsMs: number
  readonly knownOnly?: boolean
}

const WHY: Readonly<Record<Kept, string>> = {
  dirty: 'it has changes that are not committed',
  unreachable: 'it has commits that have not landed and that nothing else keeps',
  missing: 'its directory is no worktree of its branch',
}

/**
 * What nobody will need any more: worktrees and branches of beads that are done, when they are clean and what they hold has landed or is kept
 * under refs/swarm/; checkouts and index files of processes that are gone; refs that are part of the target branch; directories and old logs of
 * sessions that are over. Whatever holds work stays, with the reason, and so does what a process works in. Run twice it finds nothing the second
 * time.
 */
export async function collect(
  ctx: CommandContext,
  repository: Repository | undefined,
  options: CollectOptions,
): Promise<Collected> {
  const removed: Found[] = []
  const left: Found[] = []
  const settle = async (found: Found, remove: () => Promise<unknown>) => {
    try {
      if (!options.dry) await remove()
      removed.push(found)
    } catch (error) {
      left.push({ ...found, why: error instanceof Error ? error.message.slice(0, 500) : String(error) })
    }
  }
  const logs = await oldLogs(ctx, options.keepLogsMs)
  const refs = repository ? await listRefs(repository) : []
  const beads = repository ? await beadsHere(ctx, repository) : []
  const facts = await readFunction<Facts>(ctx, 'gc_facts', ctx.repo, {
    beads: [...new Set([...beads, ...refs.flatMap(({ beadId }) => beadId ?? [])])],
    sessions: logs.map(({ session }) => session),
  })
  if (repository) {
    for (const path of await orphanedCheckouts(repository))
      removed.push({ kind: 'checkout', name: path, why: 'the process that made it is gone' })
    for (const path of await orphanedIndexes(repository.commonDir))
      removed.push({ kind: 'index', name: path, why: 'the process that made it is gone' })
    if (!options.dry) {
      await sweepCheckouts(repository)
      await sweepIndexes(repository.commonDir)
    }
    for (const bead of beads) {
      if (options.knownOnly && !facts.beads[bead]) continue
      const needed = neededBy(facts.beads[bead])
      const landed = facts.beads[bead]?.landed
      const why =
        needed ??
        (facts.beads[bead] ? undefined : usedBy(workspaceOf(repository, bead).path)) ??
        whyText(await whyKept(repository, bead, landed))
      if (why !== undefined) left.push({ kind: 'workspace', name: bead, why })
      else
        await settle({ kind: 'workspace', name: bead, why: 'all of it has landed or is kept' }, async () => {
          const kept = await removeWorkspace(repository, bead, landed)
          if (kept) throw new Error(WHY[kept])
        })
    }
    for (const { ref, beadId, commit, landed } of refs) {
      if (options.knownOnly && (beadId === undefined || !facts.beads[beadId])) continue
      const needed = beadId === undefined ? undefined : neededBy(facts.beads[beadId])
      const why = needed ?? (landed ? undefined : `it holds work that is not on ${repository.target}`)
      if (why !== undefined) left.push({ kind: 'ref', name: ref, why })
      else
        await settle({ kind: 'ref', name: ref, why: `it is part of ${repository.target}` }, () =>
          removeRef(repository, ref, commit),
        )
    }
  }
  for (const session of await orphanedPaths(ctx))
    await settle({ kind: 'directory', name: session, why: 'its session is over' }, () =>
      removeSessionPaths(session),
    )
  for (const { session, path } of logs)
    if (facts.ended.includes(session))
      await settle({ kind: 'log', name: basename(path), why: 'its session is over, and it is old' }, () =>
        rm(path, { force: true }),
      )
  return { removed, left }
}

const whyText = (kept: Kept | undefined): string | undefined => (kept === undefined ? undefined : WHY[kept])

/** Why what belongs to a bead is still of use; undefined when the bead is done, or nobody knows it. */
function neededBy(bead: Facts['beads'][string] | undefined): string | undefined {
  if (!bead) return undefined
  if (bead.session !== undefined) return `session ${bead.session} works in it`
  return bead.status === 'completed' || bead.status === 'cancelled' ? undefined : `its bead is ${bead.status}`
}

/** A process at work in the directory of a bead that this database does not know: perhaps an agent, and another database knows it. */
function usedBy(path: string): string | undefined {
  const [one] = processesWithin(path)
  return one && `${one.name} (process ${one.pid}) runs in it`
}

/** Log files that nobody has written to for so long. */
async function oldLogs(
  ctx: CommandContext,
  keepMs: number,
): Promise<readonly { readonly session: string; readonly path: string }[]> {
  if (!ctx.root) return []
  const dir = join(ctx.root.path, '.swarm', 'logs')
  const names = (await readdir(dir).catch(() => [])).filter((name) => name.endsWith('.log'))
  const found = await Promise.all(
    names.map(async (name) => {
      const path = join(dir, name)
      const at = (await stat(path).catch(() => undefined))?.mtimeMs ?? Number.POSITIVE_INFINITY
      return Date.now() - at >= keepMs ? [{ session: name.slice(0, -'.log'.length), path }] : []
    }),
  )
  return found.flat()
}
