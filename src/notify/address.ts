import { BlockList, isIP } from 'node:net'

/** Networks that are no place on the public internet. */
const PRIVATE_4 = [
  ...[
    '0.0.0.0/8',
    '10.0.0.0/8',
    '100.64.0.0/10',
    '127.0.0.0/8',
    '169.254.0.0/16',
    '172.16.0.0/12',
    '192.0.0.0/24',
  ],
  ...[
    '192.0.2.0/24',
    '192.168.0.0/16',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '224.0.0.0/4',
    '240.0.0.0/4',
  ],
]
/** All of IPv6 but its global unicast, and what of that carries IPv4 addresses or is documentation. */
const PRIVATE_6 = ['::/3', '4000::/2', '8000::/1', '2001::/23', '2001:db8::/32', '2002::/16']

const privates4 = listOf(PRIVATE_4)
const privates6 = listOf(PRIVATE_6)

/** Why an address may not be connected to; undefined when it may. `allowed` holds addresses and networks that may, and by http too. */
export function refusalOf(address: string, allowed: readonly string[], isPlain: boolean): string | undefined {
  const plain = unmapped(address)
  const family = isIP(plain)
  if (family === 0) return 'has no address'
  if (listOf(allowed).check(plain, family === 4 ? 'ipv4' : 'ipv6')) return undefined
  const isPrivate = family === 4 ? privates4.check(plain, 'ipv4') : privates6.check(plain, 'ipv6')
  if (isPrivate) return `has the private address ${plain}, which allow_private does not name`
  return isPlain ? 'is asked for by http, which is for addresses that allow_private names' : undefined
}

/** An IPv4 address that is written as an IPv6 one, as itself. */
function unmapped(address: string): string {
  const dotted = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (dotted?.[1]) return dotted[1]
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(address) ?? []
  if (high === undefined || low === undefined) return address
  const [one, two] = [Number.parseInt(high, 16), Number.parseInt(low, 16)]
  return [one >> 8, one & 255, two >> 8, two & 255].join('.')
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', bits] = network.split('/')
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return list
}
