/** What a token is for. Each may do what those before it may. */
export const ROLES = ['observer', 'agent', 'runner', 'operator'] as const
export type Role = (typeof ROLES)[number]

/** The role that a verb needs; `anyone` where there is nothing to guard. */
export type Need = Role | 'anyone'

/** What a request acts on: its repo, every repo of its database, or this machine. */
export type Reach = 'repo' | 'database' | 'machine'

/** Who a token stands for. */
export interface Principal {
  /** Names the holder in operation keys: `agent:3` whatever the token, else `token:7`. */
  readonly id: string
  readonly token_id: number
  readonly repo: string
  readonly role: Role
  readonly agent_id?: number
  readonly name?: string
  readonly expires_at?: string
}
