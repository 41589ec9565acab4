import { maskTokens } from './token.ts'

/** Names whose values are secrets: of fields, of environment variables, of URL parameters. */
export const SECRET_NAME =
  /pass(?:word|wd|phrase)?$|passfile$|secret|token$|api_?key$|database_url|listen_url|db_url|dsn$|authorization/i

/** Query parameters of a connection URL that are secrets. */
const SECRET_PARAMETERS = new Set(['password', 'sslpassword', 'passfile'])
/** `name=value` in a query. The longest name keeps the search linear. */
const PARAMETERS = /([?&])([^?=&#\s"'<>`]{1,64})=([^&#\s"'<>`]*)/g
/** `password=…` and `"password": "…"` outside a URL. */
const SECRET_PAIRS =
  /(["']?(?:\b|_)(?:password|pgpassword|sslpassword)\b["']?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&"'}]+)/gi
/** A longer one is no connection URL: all of it is hidden. */
const LONGEST_URL = 8_192
const LONGEST_SCHEME = 32
/** A shorter value stands in too many words by chance to be replaced wherever it stands. */
const SHORTEST_KNOWN = 5
const SHORTEST_TOKEN = 16
const MOST_TOKENS = 100
/** Values that are no secret, since they are what everybody tries first; hiding them would hide the words. */
const COMMON_WORDS = new Set(['postgres', 'postgresql', 'swarm', 'password', 'secret', 'localhost'])

type Env = Readonly<Record<string, string | undefined>>

/** What this process has been given; looked at when something is masked. */
const environments = new Set<Env>()
const urls = new Set<string>()
const tokens = new Set<string>()
let known: readonly string[] | undefined

/** The secrets of this environment are hidden from now on, wherever they stand. */
export function rememberEnvironment(env: Env): void {
  environments.add(env)
  known = undefined
}

/** The password of this connection URL is hidden from now on, wherever it stands. */
export function rememberUrl(url: string): void {
  if (urls.has(url)) return
  urls.add(url)
  known = undefined
}

/**
 * This token is hidden from now on, wherever it stands. One shorter than any real one is none, and of very many, as a server is shown,
 * the latest are kept: what has the form of a token is hidden in any case.
 */
export function rememberToken(token: string): void {
  if (token.length < SHORTEST_TOKEN || tokens.has(token)) return
  for (const oldest of tokens) {
    if (tokens.size < MOST_TOKENS) break
    tokens.delete(oldest)
  }
  tokens.add(token)
  known = undefined
}

/**
 * A connection URL that may be shown: the password is `***`, everything else stands. Takes any text, also a malformed URL; where
 * it cannot tell what is password (an unescaped `/`, `?` or `@` in it) it hides too much rather than too little.
 */
export function maskUrl(url: string): string {
  const scheme = /^[a-z][a-z0-9+.-]{0,31}:\/\//i.exec(url)?.[0] ?? ''
  if (url.length > LONGEST_URL) return `${scheme}***`
  return scheme + maskUserInfo(url.slice(scheme.length)).replace(PARAMETERS, maskParameter)
}

/**
 * Text that may be shown: passwords of URLs and of `password=` pairs in it are `***`, and so are the secrets that this process
 * knows, raw and as they stand in URLs and in JSON. Takes time in proportion to the text.
 */
export function maskSecrets(text: string): string {
  return maskTokens(maskUrls(maskKnown(text)).replace(SECRET_PAIRS, '$1***'))
}

/** The words of a command as they may be shown: also the value of an option whose name says that it is a secret. */
export function maskWords(words: readonly string[]): string[] {
  return words.map((word, at) => {
    const before = words[at - 1] ?? ''
    if (/^--?[\w-]{1,64}$/.test(before) && SECRET_NAME.test(before)) return '***'
    const option = /^(--?[\w-]{1,64}=)(.*)$/s.exec(word)
    if (option?.[1] && SECRET_NAME.test(option[1].slice(0, -1)) && !option[2]?.includes('://'))
      return `${option[1]}***`
    return maskSecrets(word)
  })
}

/** True when a variable of an environment opens a database: a password, a token, a file of them, a URL that holds one. */
export function opensDatabase(name: string, value: string): boolean {
  if (/^(?:PGPASSWORD|PGPASSFILE|SWARM_TOKEN)$/i.test(name)) return true
  const url = value.trim()
  const isUrl = /^postgres(?:ql)?:/i.test(url) || /^(?:DATABASE_URL|SWARM_LISTEN_URL)$/i.test(name)
  return isUrl && maskUrl(url) !== url
}

/** Masks every URL of a text. One ends at a quote or blank; without an `@` before it, the password itself may hold the quote. */
function maskUrls(text: string): string {
  let shown = ''
  let done = 0
  for (let at = text.indexOf('://'); at !== -1; at = text.indexOf('://', Math.max(done, at + 3))) {
    const start = schemeStart(text, at, done)
    if (start === at) continue
    const quote = indexOf(/[\s"'<>`]/g, text, at + 3)
    const end = text.slice(at + 3, quote).includes('@') ? quote : indexOf(/\s/g, text, quote)
    shown += text.slice(done, start) + maskUrl(text.slice(start, end))
    done = end
  }
  return shown + text.slice(done)
}

function schemeStart(text: string, colon: number, from: number): number {
  let start = colon
  const least = Math.max(from, colon - LONGEST_SCHEME)
  for (let at = colon - 1; at >= least && /[a-z0-9+.-]/i.test(text.charAt(at)); at -= 1) {
    if (/[a-z]/i.test(text.charAt(at))) start = at
  }
  return start
}

function indexOf(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from
  return pattern.exec(text)?.index ?? text.length
}

function maskParameter(whole: string, mark: string, name: string): string {
  return SECRET_PARAMETERS.has(decode(name).trim().toLowerCase()) ? `${mark}${name}=***` : whole
}

function maskUserInfo(rest: string): string {
  const colon = rest.indexOf(':')
  if (colon === -1) return rest
  const at = rest.lastIndexOf('@')
  if (at > colon) return `${rest.slice(0, colon)}:***${rest.slice(at)}`
  return looksLikeHosts(rest) ? rest : `${rest.slice(0, colon)}:***`
}

/** `host`, `host:5432`, `[::1]:5432` or a list of them, before the path. */
function looksLikeHosts(rest: string): boolean {
  const authority = rest.slice(rest.lastIndexOf('@', rest.search(/[/?]|$/)) + 1).split(/[/?]/, 1)[0] ?? ''
  return authority.split(',').every((part) => /^(?:\[[0-9a-fA-F:.%]*\]|[^:[\]]*)(?::\d*)?$/.test(part))
}

function maskKnown(text: string): string {
  known ??= findKnown()
  let shown = text
  for (const value of known) if (shown.includes(value)) shown = shown.split(value).join('***')
  return shown
}

/** Every spelling of every known secret, the longest first: one may be part of another. */
function findKnown(): string[] {
  const values = new Set<string>()
  const add = (value: string) => {
    if (value.length < SHORTEST_KNOWN || COMMON_WORDS.has(value.toLowerCase())) return
    values.add(value).add(encodeURIComponent(value.toWellFormed())).add(JSON.stringify(value).slice(1, -1))
  }
  for (const token of tokens) add(token)
  for (const url of urls) for (const value of passwordsOf(url)) add(value)
  for (const env of environments) {
    for (const [name, value = ''] of Object.entries(env)) {
      if (value.includes('://')) for (const password of passwordsOf(value)) add(password)
      else if (SECRET_NAME.test(name)) add(value)
    }
  }
  return [...values].sort((one, other) => other.length - one.length)
}

/** The passwords in a URL, as they stand and decoded; not one that is also its user. */
function passwordsOf(url: string): string[] {
  if (url.length > LONGEST_URL) return []
  const [, user = '', password = ''] = /^\s*[a-z][a-z0-9+.-]*:\/\/([^:/?#@]*):([^/?#]*)@/i.exec(url) ?? []
  const raw = [password]
  for (const [, , name = '', value = ''] of url.matchAll(PARAMETERS)) {
    if (SECRET_PARAMETERS.has(decode(name).trim().toLowerCase())) raw.push(value)
  }
  return raw
    .flatMap((value) => [value, decode(value)])
    .filter((value) => value !== '' && value !== decode(user))
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
