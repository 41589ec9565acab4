import { maskTokens } from './token.ts'

/** Query parameters of a connection URL that are secrets. */
const SECRET_PARAMETERS = /([?&](?:password|sslpassword|passfile)=)[^&#\s"'<>`]*/gi
/** `password=…` and `"password": "…"` outside a URL. */
const SECRET_PAIRS =
  /(["']?\b(?:password|pgpassword|sslpassword)\b["']?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&"'}]+)/gi
/** A URL with a user part ends at a quote or blank; without an `@` before it, the password itself may hold the quote. */
const URLS = /\b[a-z][a-z0-9+.-]*:\/\/(?:[^\s"'<>`]*@[^\s"'<>`]*|\S+)/gi

/**
 * A connection URL that may be shown: the password is `***`, everything else stands. Takes any text, also a malformed URL; where
 * it cannot tell what is password (an unescaped `/`, `?` or `@` in it) it hides too much rather than too little.
 */
export function maskUrl(url: string): string {
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(url)?.[0] ?? ''
  const rest = url.slice(scheme.length)
  return scheme + maskUserInfo(rest).replace(SECRET_PARAMETERS, '$1***')
}

/** Text that may be shown: passwords of URLs and of `password=` pairs in it are `***`, tokens `swarm_***`. */
export function maskSecrets(text: string): string {
  return maskTokens(text.replace(URLS, maskUrl).replace(SECRET_PAIRS, '$1***'))
}

function maskUserInfo(rest: string): string {
  const colon = rest.indexOf(':')
  const at = rest.lastIndexOf('@')
  if (colon === -1) return rest
  if (at > colon) {
    const first = rest.indexOf('@')
    // a user without a password, then an `@` further on
    if (first < colon && !/[/?]/.test(rest.slice(0, first))) {
      return rest.slice(0, first + 1) + maskUserInfo(rest.slice(first + 1))
    }
    return `${rest.slice(0, colon)}:***${rest.slice(at)}`
  }
  return looksLikeHosts(rest) ? rest : `${rest.slice(0, colon)}:***`
}

/** `host`, `host:5432`, `[::1]:5432` or a list of them, before the path. */
function looksLikeHosts(rest: string): boolean {
  const authority = rest.slice(rest.lastIndexOf('@', rest.search(/[/?]|$/)) + 1).split(/[/?]/, 1)[0] ?? ''
  return authority.split(',').every((part) => /^(?:\[[0-9a-fA-F:.%]*\]|[^:[\]]*)(?::\d*)?$/.test(part))
}
