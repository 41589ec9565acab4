import { opensDatabase } from '../contract/secrets.ts'

/** Names and values of an environment; an undefined value removes the name. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The environment of a child: this process's own without what opens the database (a Postgres URL that holds a password,
 * `PGPASSWORD`, `PGPASSFILE`, `SWARM_TOKEN`), then `added`. A child that shall reach the database with these asks for `withDatabase`.
 */
export function childEnvironment(
  own: Environment,
  added: Environment = {},
  withDatabase = false,
): Record<string, string> {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && (withDatabase || !opensDatabase(name, value))) env[name] = value
  }
  for (const [name, value] of Object.entries(added)) {
    if (value === undefined) delete env[name]
    else env[name] = value
  }
  return env
}
