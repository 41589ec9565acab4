import type { JsonObject } from '../../contract/json.ts'

/** How the body of an answer is made of what the verb answers. */
export type Body =
  /** `d` as it is, under other names, and with fixed fields. */
  | { readonly kind: 'same'; readonly names?: Readonly<Record<string, string>>; readonly adds?: JsonObject }
  /** The only row of a list, under a name of its own; NOTFOUND when there is none. */
  | { readonly kind: 'one'; readonly list: string; readonly name: string; readonly of: string }

/** A route of REST: which verb it is, and how its parts make the verb's fields. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Names in it are fields of the verb. */
  readonly path: string
  readonly verb: string
  /** Other names of fields in query and body. */
  readonly names?: Readonly<Record<string, string>>
  /** Fields that are the same in every request. */
  readonly given?: JsonObject
  /** `same` unless said. */
  readonly body?: Body
  /** 200 unless said. */
  readonly status?: number
}

export const ROUTES: readonly Route[] = [{ method: 'GET', path: '/api/beads', verb: 'beads' }]
