import { randomBytes } from 'node:crypto'
import postgres from 'postgres'
import { schemaSql } from '../../src/db/schema.ts'

const TEMPLATE = 'swarm_test_template'

/** A driver connection for the test's own statements; `max` 1 so that order is kept. */
export function plainClient(url: string, max = 1, applicationName = 'test'): postgres.Sql {
  const { hostname, port, pathname, username, password, searchParams } = new URL(url)
  return postgres({
    host: searchParams.get('host') ?? decodeURIComponent(hostname),
    port: Number(port || searchParams.get('port') || 5432),
    database: decodeURIComponent(pathname.slice(1)),
    username: decodeURIComponent(username || searchParams.get('user') || 'postgres'),
    password: decodeURIComponent(password),
    max,
    connection: { application_name: applicationName },
    onnotice: () => {},
  })
}

/** The same server, another database. */
export function withDatabase(url: string, database: string): string {
  const at = new URL(url)
  at.pathname = `/${database}`
  return at.href
}

/** Makes the database that the others are cloned from. */
export async function makeTemplate(serverUrl: string): Promise<void> {
  const admin = plainClient(serverUrl)
  await admin.unsafe(`drop database if exists ${TEMPLATE} with (force)`)
  await admin.unsafe(`create database ${TEMPLATE} template template0 encoding 'UTF8'`)
  await admin.end()
  const template = plainClient(withDatabase(serverUrl, TEMPLATE))
  await template.unsafe(schemaSql())
  await template.end()
}

/** Clones the template under a random name. */
export async function cloneTemplate(
  serverUrl: string,
): Promise<{ name: string; url: string; drop: () => Promise<void> }> {
  const name = `t_${randomBytes(6).toString('hex')}`
  const admin = plainClient(serverUrl)
  // another clone of the template at the same moment is refused, not queued: the advisory lock queues them
  await admin.unsafe(`select pg_advisory_lock(4711)`)
  await admin.unsafe(`create database ${name} template ${TEMPLATE}`)
  await admin.unsafe(`select pg_advisory_unlock(4711)`)
  await admin.end()
  return {
    name,
    url: withDatabase(serverUrl, name),
    async drop() {
      const again = plainClient(serverUrl)
      await again.unsafe(`drop database if exists ${name} with (force)`)
      await again.end()
    },
  }
}
