import type { Json } from '../contract/json.ts'
import type { Standing } from './authority.ts'
import { contextOf } from './context.ts'
import { fixedFor } from './fixes.ts'
import { describeRequest, type Prepared } from './prepare.ts'
import type { ProcessState } from './process-state.ts'
import type { Scope } from './scope.ts'
import { noRoot } from './target.ts'

/**
 * Runs a request or a part of one: admitted, given its context, carried out. Answers what stands in `d`; throws `SwarmError`
 * with the request that would work, where there is one.
 */
export async function perform(state: ProcessState, request: Prepared, scope: Scope): Promise<Json> {
  try {
    return await carryOut(state, request, scope)
  } catch (thrown) {
    throw await fixedFor(thrown, request, state.options.catalog)
  }
}

/** As whom a request runs; throws UNAUTHORIZED when it may not run. */
export function admit(state: ProcessState, request: Prepared, scope: Scope): Promise<Standing> {
  return state.authority.admit(request, {
    db: () => scope.connection().db,
    on: () => scope.db(),
    repo: () => state.repoOfRequest(request),
    whole: scope.standing,
  })
}

/** What a request runs with, once it is admitted; throws UNAUTHORIZED when it may not run. */
export async function admitted(state: ProcessState, request: Prepared, scope: Scope) {
  const standing = await admit(state, request, scope)
  scope.notes.standing = standing
  return contextOf(state, request, scope, standing, (part, within) => perform(state, part, within))
}

async function carryOut(state: ProcessState, request: Prepared, scope: Scope): Promise<Json> {
  const { command, input } = request
  const needs = command.needs ?? 'database'
  if (needs === 'root' && !state.currentRoot()) throw noRoot()
  const ctx = await admitted(state, request, scope)
  if (request.write.dry) {
    const would = await command.dry?.(ctx, input)
    return { dry: true, would_do: would ?? [describeRequest(request)] }
  }
  if ('append' in command) {
    const [settled] = await ctx.db.append([command.append(ctx, input)])
    if (settled?.status !== 'fulfilled') throw settled?.reason
    if (settled.value.replayed) ctx.replayed()
    return settled.value.d
  }
  const d =
    command.pages && input.stream
      ? await (await import('./page.ts')).streamPages(ctx, input, (page) => command.run(ctx, page))
      : await command.run(ctx, input)
  if (command.effect === 'local') state.forgetRoot()
  // it may have made tokens, or what asks for them
  if (command.group === 'set up') state.authority.forget()
  // what a command answers is JSON: its output schema says so
  return d as Json
}
