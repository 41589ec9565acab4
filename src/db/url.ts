import { userInfo } from 'node:os'
import { SwarmError } from '../contract/errors.ts'
import { maskUrl } from '../contract/secrets.ts'

export { maskSecrets, maskUrl } from '../contract/secrets.ts'

/** Where and how to connect, read from a URL and the environment. Holds the password: never show it. */
export interface ConnectOptions {
  /** Tried in order. A host that starts with `/` is the directory of a Unix socket. */
  readonly hosts: readonly HostPort[]
  readonly user: string
  readonly password: string | undefined
  readonly database: string
  /** True when the environment has a password that was not taken, since the URL stood in a file. */
  readonly withheld: boolean
  readonly tls: TlsOptions
  /** Named prepared statements; off behind a pooler that cannot keep them. */
  readonly prepare: boolean
  /** Known to be behind a pooler in transaction mode: LISTEN does not work. */
  readonly pooled: boolean
  /** `search_path` goes in the start-up message; off behind a pooler, which refuses or drops it. */
  readonly startupPath: boolean
  readonly applicationName: string | undefined
  /** `options` of the start-up message, like `-c search_path=x`. */
  readonly startupOptions: string | undefined
  readonly targetSessionAttrs: string | undefined
  /** For people and logs, without the password. */
  readonly shown: string
}

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** Where a URL comes from, and the environment that completes it. */
export interface UrlContext {
  readonly env?: Env
  /** True when it stood in a file of a working copy, which somebody else may have written. */
  readonly fromFile?: boolean
}

export interface TlsOptions {
  readonly mode: 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'
  readonly direct: boolean
  /** Files, in PEM. */
  readonly rootCert?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

type Env = Readonly<Record<string, string | undefined>>

const USED = [
  'host',
  'port',
  'user',
  'password',
  'dbname',
  'sslmode',
  'ssl',
  'sslnegotiation',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'prepare',
  'pgbouncer',
  'application_name',
  'options',
  'target_session_attrs',
]
/** Known to other clients and without a meaning here; poolers and hosts put them into the URLs they hand out. */
const IGNORED = [
  ...[
    'channel_binding',
    'client_encoding',
    'connect_timeout',
    'fallback_application_name',
    'gssencmode',
    'hostaddr',
  ],
  ...[
    'keepalives',
    'keepalives_count',
    'keepalives_idle',
    'keepalives_interval',
    'load_balance_hosts',
    'passfile',
  ],
  ...['requiressl', 'sslcompression', 'sslsni', 'tcp_user_timeout', 'uselibpqcompat', 'connection_limit'],
  ...['max', 'pool_timeout', 'pool_mode', 'schema', 'socket_timeout', 'statement_cache_size', 'supa'],
]

/**
 * Reads a `postgres://` URL as libpq does: several hosts, Unix sockets (`postgres:///db?host=/dir`, `postgres://user@%2Fdir/db`),
 * IPv6 in brackets, `sslmode`. What the URL leaves out comes from PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and PGSSLMODE.
 * A URL of a file gets no password from there. `prepare=false` and `pgbouncer=true` are ours. TLS is off on this machine and
 * required elsewhere, unless `sslmode` says otherwise.
 * Throws INVALID (configuration); the message never holds the URL's secrets.
 */
export function parseUrl(
  url: string,
  { env = process.env, fromFile = false }: UrlContext = {},
): ConnectOptions {
  const parts = /^postgres(?:ql)?:\/\/([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/is.exec(url.trim())
  if (!parts) throw invalid('it must start with postgres://')
  const [, authority = '', path = '', query = ''] = parts
  const params = parseQuery(query)
  const at = authority.lastIndexOf('@')
  const [, user = '', password] = /^([^:]*)(?::(.*))?$/s.exec(at === -1 ? '' : authority.slice(0, at)) ?? []
  const hosts = parseHosts(authority.slice(at + 1), params, env)
  const own = params.get('password') ?? (password === undefined ? undefined : decode(password))
  const name = params.get('user') || decode(user) || env.PGUSER || osUser(env)
  const pooled = params.get('pgbouncer') === 'true'
  return {
    hosts,
    user: name,
    password: own ?? (fromFile ? undefined : env.PGPASSWORD),
    withheld: fromFile && own === undefined && Boolean(env.PGPASSWORD),
    database: params.get('dbname') || decode(path) || env.PGDATABASE || name,
    tls: parseTls(params, hosts, env),
    prepare: !pooled && !['false', '0'].includes(params.get('prepare') ?? ''),
    pooled,
    startupPath: !pooled,
    applicationName: params.get('application_name') || env.PGAPPNAME || undefined,
    startupOptions: params.get('options') || undefined,
    targetSessionAttrs: params.get('target_session_attrs') || undefined,
    shown: maskUrl(url.trim()),
  }
}

/** The same for a driver of one's own; only the first host. */
export function connectOptions(url: string) {
  const { hosts, user, password, database, tls } = parseUrl(url)
  const { host = 'localhost', port = 5432 } = hosts[0] ?? {}
  const ssl =
    tls.mode === 'disable' ? false : tls.mode === 'prefer' ? ('prefer' as const) : ('require' as const)
  return { host, port, user, database, ssl, ...(password === undefined ? {} : { password }) }
}

function parseQuery(query: string): Map<string, string> {
  const params = new Map<string, string>()
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = decode(equals === -1 ? pair : pair.slice(0, equals))
    if (IGNORED.includes(name)) continue
    if (!USED.includes(name)) {
      // a misspelt sslmode must not pass in silence
      throw invalid(`its parameter ${name.slice(0, 40)} is not known`, {
        got: name.slice(0, 40),
        expected: USED.join(', '),
      })
    }
    params.set(name, equals === -1 ? '' : decode(pair.slice(equals + 1)))
  }
  return params
}

function parseHosts(authority: string, params: Map<string, string>, env: Env): HostPort[] {
  const listed = (params.get('host') || authority || env.PGHOST || 'localhost').split(',')
  const ports = (params.get('port') || '').split(',')
  return listed.map((entry, at) => {
    const [, bracketed, plain = '', port] = splitHost(entry)
    const text = port || ports[at] || ports[0] || env.PGPORT || '5432'
    const number = Number(text)
    if (!/^\d+$/.test(text) || number < 1 || number > 65_535) {
      throw invalid(
        'its port must be a number from 1 to 65535; write / ? # and @ in a password as %2F %3F %23 %40',
      )
    }
    return { host: decode(bracketed ?? plain) || env.PGHOST || 'localhost', port: number }
  })
}

function splitHost(entry: string): readonly (string | undefined)[] {
  // a bare IPv6 address can only come from host= or PGHOST
  if (!entry.startsWith('[') && entry.split(':').length > 2) return [entry, entry]
  const parts = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/s.exec(entry)
  if (!parts) throw invalid('its host cannot be read')
  return parts
}

function parseTls(params: Map<string, string>, hosts: readonly HostPort[], env: Env): TlsOptions {
  const asked =
    params.get('sslmode') || (params.get('ssl') === 'true' ? 'require' : params.get('ssl')) || env.PGSSLMODE
  const rootCert = params.get('sslrootcert') || env.PGSSLROOTCERT
  const files = {
    rootCert,
    cert: params.get('sslcert') || env.PGSSLCERT,
    key: params.get('sslkey') || env.PGSSLKEY,
  }
  return {
    mode: tlsMode(asked, hosts, rootCert),
    direct: params.get('sslnegotiation') === 'direct',
    ...files,
  }
}

function tlsMode(
  asked: string | undefined,
  hosts: readonly HostPort[],
  rootCert: string | undefined,
): TlsOptions['mode'] {
  if (hosts.every(({ host }) => host.startsWith('/'))) return 'disable'
  switch (asked) {
    case undefined:
    case '':
      if (hosts.every(({ host }) => isThisHost(host))) return 'disable'
      return rootCert ? 'verify-ca' : 'require'
    case 'disable':
    case 'false':
      return 'disable'
    case 'allow':
    case 'prefer':
      return 'prefer'
    case 'require':
      // as libpq: with a root certificate it is also checked
      return rootCert ? 'verify-ca' : 'require'
    case 'verify-ca':
    case 'verify-full':
      return asked
    default:
      throw invalid('its sslmode is not known', {
        got: asked.slice(0, 40),
        expected: 'disable, prefer, require, verify-ca or verify-full',
      })
  }
}

/** True for a loopback address, `localhost` and the directory of a Unix socket: what is sent there leaves this machine on no wire. */
export function isThisHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host) || host.startsWith('/')
}

function osUser(env: Env): string {
  try {
    return userInfo().username
  } catch {
    // a uid without an entry in the password file
    return env.USER || 'postgres'
  }
}

/** Percent-decodes; text that is not percent-encoded stands for itself, since a raw `%` in a password is common. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function invalid(why: string, ctx: { got?: string; expected?: string } = {}): SwarmError {
  return new SwarmError('INVALID', `the database URL cannot be used: ${why}`, {
    area: 'configuration',
    ctx: { kind: 'InvalidValue', field: 'database_url', ...ctx },
  })
}
