import { readFileSync } from 'node:fs'
import type postgres from 'postgres'
import { SwarmError } from '../contract/errors.ts'
import type { Connector } from './connector.ts'
import type { ConnectOptions } from './url.ts'

/** A parameter goes as its own text whatever type the server gives it, so that JSON text is not made JSON once more. */
const asText = (value: unknown): string => String(value)
const TYPES = {
  json: { to: 114, from: [114, 3802], serialize: asText, parse: (text: string): unknown => JSON.parse(text) },
  boolean: { to: 16, from: [16], serialize: asText, parse: (text: string): unknown => text === 't' },
  date: { to: 1184, from: [1082, 1114, 1184], serialize: asText, parse: (text: string): unknown => text },
  bytea: { to: 17, from: [17], serialize: asText, parse: (text: string): unknown => text },
}

/** Names without a schema mean what Postgres itself has, whatever stands in a schema where others may create. */
export const OWN_PATH = 'pg_catalog'

export interface ClientOptions {
  readonly connect: ConnectOptions
  readonly connectTimeoutMs: number
  /** Connections; at least 2 for a pool, since a dying one must not hold up its successor. */
  readonly max: number
  readonly applicationName: string
  readonly onnotify?: (channel: string, payload: string) => void
  /** Told whenever a connection has closed, also an idle one. */
  readonly onclose?: () => void
}

/** Every option of the driver is set here: what is left out, it would read from PG… variables of the environment. */
export function driverOptions(options: ClientOptions, connector: Connector): postgres.Options<typeof TYPES> {
  const { connect } = options
  const [first] = connect.hosts
  const all = {
    // for its messages only: the connector knows all hosts. Of several the driver would swallow the error of the first
    host: first?.host ?? 'localhost',
    port: first?.port ?? 5432,
    user: connect.user,
    // a function: for an empty text the driver would take PGPASSWORD
    password: () => connect.password ?? '',
    database: connect.database,
    ssl: tlsOptions(connect),
    sslnegotiation: connect.tls.direct ? 'direct' : null,
    socket: connector.open,
    max: options.max,
    max_pipeline: 1,
    max_lifetime: null,
    idle_timeout: undefined,
    connect_timeout: options.connectTimeoutMs / 1000,
    keep_alive: null,
    backoff: () => 0,
    prepare: connect.prepare,
    fetch_types: false,
    debug: false,
    no_subscribe: true,
    types: TYPES,
    ...(connect.targetSessionAttrs ? { target_session_attrs: sessionAttrs(connect.targetSessionAttrs) } : {}),
    connection: {
      application_name: connect.applicationName ?? options.applicationName,
      ...(connect.startupPath ? { search_path: OWN_PATH } : {}),
      ...(connect.startupOptions ? { options: connect.startupOptions } : {}),
    },
    // its default writes to stdout
    onnotice: () => {},
    ...(options.onnotify ? { onnotify: options.onnotify } : {}),
    ...(options.onclose ? { onclose: options.onclose } : {}),
  }
  return all
}

function sessionAttrs(text: string) {
  const known = ['read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const
  return known.find((name) => name === text)
}

/** `verify-ca` checks the chain and not the name. */
function tlsOptions({ tls, hosts }: ConnectOptions): 'require' | 'prefer' | false | object {
  const { mode } = tls
  if (mode === 'disable') return false
  const files = {
    ...(tls.rootCert && tls.rootCert !== 'system' ? { ca: readPem('sslrootcert', tls.rootCert) } : {}),
    ...(tls.cert ? { cert: readPem('sslcert', tls.cert) } : {}),
    ...(tls.key ? { key: readPem('sslkey', tls.key) } : {}),
  }
  if (mode === 'prefer' || (mode === 'require' && Object.keys(files).length === 0)) return mode
  const host = hosts.length === 1 ? hosts[0]?.host : undefined
  return {
    ...files,
    ...(host ? { host } : {}),
    rejectUnauthorized: mode !== 'require',
    ...(mode === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
  }
}

function readPem(field: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SwarmError('INVALID', `the file that ${field} of the database URL names cannot be read`, {
      area: 'configuration',
      ctx: { kind: 'InvalidValue', field, got: path },
      cause,
    })
  }
}
