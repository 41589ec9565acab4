import { type BlockList, isIPv4, isIPv6 } from 'node:net'

/** The address of a peer as one client's: an IPv4 address, or the first 64 bits of an IPv6 one, of which a client has as many as it likes. */
export function addressOf(peer: string | undefined): string {
  if (peer === undefined) return ''
  const plain = peer.replace(/^::ffff:(?=\d+\.)/i, '')
  if (!isIPv6(plain)) return plain
  const [before = '', after] = plain.split('%')[0]?.toLowerCase().split('::') ?? []
  const first = before === '' ? [] : before.split(':')
  const last = after === undefined || after === '' ? [] : after.split(':')
  const zeros = Array.from({ length: after === undefined ? 0 : 8 - first.length - last.length }, () => '0')
  return `${[...first, ...zeros, ...last].slice(0, 4).join(':')}::/64`
}

/** Whether a peer is a proxy that is believed. */
export function isProxy(proxies: BlockList, peer: string | undefined): boolean {
  if (peer === undefined) return false
  const plain = peer.replace(/^::ffff:(?=\d+\.)/i, '')
  return proxies.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
}

/**
 * Where a request comes from: its peer, or, where that is a proxy that is believed, the last address of `X-Forwarded-For` that is none. What
 * stands before that may be anybody's invention.
 */
export function clientAddress(
  proxies: BlockList,
  peer: string | undefined,
  forwardedFor: string | undefined,
): string {
  if (!isProxy(proxies, peer)) return addressOf(peer)
  const named = (forwardedFor ?? '').split(',').map((one) => one.trim())
  const last = named.findLast((one) => !isProxy(proxies, isIPv4(one) || isIPv6(one) ? one : undefined))
  return last !== undefined && (isIPv4(last) || isIPv6(last)) ? addressOf(last) : addressOf(peer)
}
