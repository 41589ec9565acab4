import type { CommandContext } from '../contract/command.ts'
import type { ExecuteOptions } from '../contract/context.ts'
import type { Json, JsonObject } from '../contract/json.ts'
import type { Standing } from './authority.ts'
import { inherited, type Prepared, prepare } from './prepare.ts'
import type { ProcessState } from './process-state.ts'
import type { Notes, Scope } from './scope.ts'

/** The context of a request. `perform` runs its parts. */
export function contextOf(
  state: ProcessState,
  request: Prepared,
  scope: Scope,
  standing: Standing,
  perform: (part: Prepared, scope: Scope) => Promise<Json>,
): CommandContext {
  const { catalog, cwd, env, render, echo, serve } = state.options
  const needs = request.command.needs ?? 'database'
  const needsDatabase = needs === 'database'
  const rootIsExtra = needs === 'nothing' || (needsDatabase && state.hasOwnDatabase(request))
  let parts = 0
  return {
    repo: needsDatabase ? state.repoOfRequest(request, standing) : (request.common.repo ?? ''),
    principal: standing.principal,
    unowned: standing.unowned,
    authenticate: (token) => state.authority.authenticate(token, scope.connection().db),
    root: rootIsExtra ? state.rootIfAny() : state.currentRoot(),
    catalog,
    cwd,
    env,
    render,
    echo,
    serve,
    holder: state.holder,
    databaseUrl: request.common.database_url ?? (env.DATABASE_URL || undefined),
    rid: request.rid,
    key: scope.key,
    dry: request.write.dry ?? false,
    get renews() {
      return state.renewing
    },
    signal: scope.signal,
    inputEnd: state.inputEnd.signal,
    get hurried() {
      state.finishes = true
      return state.hurry.signal
    },
    get stopping() {
      return state.stop.signal.aborted
    },
    emit: scope.emit,
    get db() {
      return scope.db()
    },
    get holdings() {
      return scope.holdings()
    },
    get cursors() {
      return scope.connection().cursors
    },
    next(fix) {
      scope.notes.next = fix
    },
    replayed() {
      scope.notes.replayed = true
    },
    cancel: state.cancel,
    async execute(raw: JsonObject, part: ExecuteOptions = {}) {
      const prepared = await prepare(catalog, { ...inherited(request), ...raw }, state.defaults)
      const notes: Notes = {}
      const d = await perform(prepared, {
        ...scope,
        standing,
        db: () => part.db ?? scope.db(),
        holdings: () => part.holdings ?? scope.holdings(),
        key: prepared.write.idem ?? part.key ?? `${scope.key}/${++parts}`,
        notes,
      })
      if (notes.replayed) scope.notes.replayed = true
      return d
    },
  }
}
