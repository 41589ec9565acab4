import { BlockList, isIPv4, isIPv6 } from 'node:net'

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

/** Says whether a peer is a proxy that is believed. */
export type IsProxy = (peer: string | undefined) => boolean

/** Of these addresses. */
export function proxiesAt(addresses: readonly string[]): IsProxy {
  if (addresses.length === 0) return () => false
  const list = new BlockList()
  for (const address of addresses) list.addAddress(address, isIPv6(address) ? 'ipv6' : 'ipv4')
  return (peer) => {
    if (peer === undefined) return false
    const plain = peer.replace(/^::ffff:(?=\d+\.)/i, '')
    return list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
  }
}

/**
 * Where a request comes from: its peer, or, where that is a proxy that is believed, the last address of `X-Forwarded-For` that is none. What
 * stands before that may be anybody's invention.
 */
export function clientAddress(
  isProxy: IsProxy,
  peer: string | undefined,
  forwardedFor: string | undefined,
): string {
  if (!isProxy(peer)) return addressOf(peer)
  const named = (forwardedFor ?? '').split(',').map((one) => one.trim())
  const last = named.findLast((one) => !isProxy(isIPv4(one) || isIPv6(one) ? one : undefined))
  return last !== undefined && (isIPv4(last) || isIPv6(last)) ? addressOf(last) : addressOf(peer)
}
