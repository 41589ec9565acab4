import { expect, test } from 'vitest'
import { addressOf, clientAddress, proxiesAt } from '../../../src/surface/http/address.ts'

test.each([
  ['127.0.0.1', '127.0.0.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:DB8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
])('%s counts as %s', (peer, address) => {
  expect(addressOf(peer)).toBe(address)
})

test.each([
  ['no proxy', '192.0.2.1', '203.0.113.1', '192.0.2.1'],
  ['a proxy', '10.0.0.1', '203.0.113.1', '203.0.113.1'],
  ['a proxy of a client that says it is somebody', '10.0.0.1', '198.51.100.9, 203.0.113.1', '203.0.113.1'],
  ['two proxies', '::ffff:10.0.0.1', '203.0.113.1, 10.0.0.2', '203.0.113.1'],
  ['a proxy that says nothing', '10.0.0.1', undefined, '10.0.0.1'],
  ['a proxy that says no address', '10.0.0.1', '203.0.113.1, unknown', '10.0.0.1'],
  ['proxies alone', '10.0.0.1', '10.0.0.2', '10.0.0.1'],
])('through %s the client is the one that the last proxy saw', (_what, peer, forwardedFor, client) => {
  expect(clientAddress(proxiesAt(['10.0.0.1', '10.0.0.2']), peer, forwardedFor)).toBe(client)
})
