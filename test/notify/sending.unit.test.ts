import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { notifySchema } from '../../src/contract/notify-config.ts'
import { refusalOf } from '../../src/notify/address.ts'
import { type PostOptions, post } from '../../src/notify/post.ts'
import { pauseAfter, pauseOf, retryAfterMs } from '../../src/notify/retry-times.ts'
import { keyOf, signedHeaders } from '../../src/notify/webhook.ts'

test('a signature is that of the Standard Webhooks reference', () => {
  const key = keyOf('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
  const at = 1_614_265_330_000
  expect(key && signedHeaders(key, 'msg_p5jXN8AQM9LWM0D4loKWxJek', at, '{"test": 2432232314}')).toMatchObject(
    {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    },
  )
})

test.each(['', 'whsec_', 'whsec_c2hvcnQ=', 'not base64!'])('%j is no secret', (secret) => {
  expect(keyOf(secret)).toBeUndefined()
})

test('a message is sent again after 5 s, 5 min, 30 min, 2 h, 5 h and 10 h, and never before it was asked for', () => {
  const minutes = [1, 2, 3, 4, 5, 6, 7].map((failed) => pauseAfter(failed, 0) / 60_000)
  expect(minutes).toEqual([5 / 60, 5, 30, 120, 300, 600, 600])
  expect(pauseAfter(1, 1)).toBe(5_500)
  expect(pauseAfter(1, 0, 60_000)).toBe(60_000)
  expect(retryAfterMs('7', 0)).toBe(7_000)
  expect(retryAfterMs('Thu, 01 Jan 1970 00:01:00 GMT', 0)).toBe(60_000)
  expect(retryAfterMs('soon', 0)).toBe(0)
})

test('who says when it takes the next one gets it then, and who is closed is asked again after an hour', () => {
  expect(pauseOf('later', 3, 1, 6_000)).toBe(6_000)
  expect(pauseOf('closed', 0, 1, 0)).toBe(3_600_000)
  expect(pauseOf('failed', 2, 0, 0)).toBe(300_000)
  expect([1, 2, 3, 9, 90].map((failed) => pauseOf('away', failed, 0, 0) / 1_000)).toEqual([2, 4, 8, 300, 300])
  expect(pauseOf('away', 1, 1, 0)).toBe(2_200)
})

test.each([
  ...[
    '127.0.0.1',
    '10.1.2.3',
    '172.31.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
  ],
  ...[
    '::1',
    '::',
    'fd00::1',
    'fe80::1',
    'ff02::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
  ],
])('%s is private', (address) => {
  expect(refusalOf(address, [], false)).toMatch(/private/)
  expect(refusalOf(address, ['203.0.113.7'], false)).toMatch(/private/)
})

test('a public address is connected to by https, one that is named also by http', () => {
  expect(refusalOf('1.1.1.1', [], false)).toBeUndefined()
  expect(refusalOf('2606:4700::1111', [], false)).toBeUndefined()
  expect(refusalOf('1.1.1.1', [], true)).toMatch(/http/)
  expect(refusalOf('10.1.2.3', ['10.0.0.0/8'], true)).toBeUndefined()
  expect(refusalOf('::1', ['::1'], true)).toBeUndefined()
})

test('a name is refused by the address that it resolves to, and nothing is connected to', async () => {
  let asked = 0
  const server = createServer((_request, response) => {
    asked += 1
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // a server that listens has a port
  const { port } = server.address() as AddressInfo
  const options = { headers: {}, body: '{}', signal: new AbortController().signal }
  try {
    for (const host of ['localhost', '127.0.0.1', '[::ffff:127.0.0.1]', '2130706433'])
      await expect(
        post(new URL(`http://${host}:${port}/secret`), { ...options, allowed: [] }),
      ).rejects.toThrow(/private address/)
    expect(asked).toBe(0)
    const allowed = ['127.0.0.1', '::1']
    expect(await post(new URL(`http://127.0.0.1:${port}/`), { ...options, allowed })).toMatchObject({
      status: 200,
    })
  } finally {
    server.close()
  }
})

test('the address that was checked is the one that is connected to', async () => {
  let asked = 0
  const server = createServer((_request, response) => {
    asked += 1
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // a server that listens has a port
  const { port } = server.address() as AddressInfo
  const answers = ['127.0.0.1', '127.0.0.2', '127.0.0.2']
  const resolve: NonNullable<PostOptions['resolve']> = (_name, _options, callback) =>
    callback(null, [{ address: answers.shift() ?? '', family: 4 }])
  const options = {
    headers: {},
    body: '',
    allowed: ['127.0.0.1'],
    signal: new AbortController().signal,
    resolve,
  }
  try {
    // the second answer of this name is another address: it is not asked for
    expect(await post(new URL(`http://rebound.example:${port}/`), options)).toMatchObject({ status: 200 })
    expect(answers).toHaveLength(2)
    await expect(post(new URL(`http://rebound.example:${port}/`), options)).rejects.toThrow(/127\.0\.0\.2/)
    // one private address among public ones is enough
    const both: typeof resolve = (_name, _options, callback) =>
      callback(
        null,
        ['1.1.1.1', '10.0.0.1'].map((address) => ({ address, family: 4 })),
      )
    await expect(post(new URL('https://both.example/'), { ...options, resolve: both })).rejects.toThrow(
      /10\.0\.0\.1/,
    )
    expect(asked).toBe(1)
  } finally {
    server.close()
  }
})

test('a receiver that does not answer is given up after the time-out, without a word of the path', async () => {
  const server = createServer(() => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // a server that listens has a port
  const { port } = server.address() as AddressInfo
  const options = {
    headers: {},
    body: '{}',
    allowed: ['127.0.0.1'],
    signal: new AbortController().signal,
    timeoutMs: 200,
  }
  const refused = post(new URL(`http://127.0.0.1:${port}/hidden`), options)
  await expect(refused).rejects.toThrow('127.0.0.1 did not answer within 0.2 s')
  server.closeAllConnections()
  server.close()
})

test.each([
  { kind: 'webhook', url: 'ftp://x', secret_env: 'SWARM_NOTIFY_A' },
  { kind: 'webhook', url: 'https://x.example', secret_env: 'AWS_SECRET_ACCESS_KEY' },
  { kind: 'webhook', url: 'https://x.example', secret: 'whsec_x', secret_env: 'SWARM_NOTIFY_A' },
  { kind: 'telegram', token_env: 'SWARM_NOTIFY_B' },
  { kind: 'telegram', chat_id: 4, token_env: 'SWARM_NOTIFY_B', user_ids: [] },
  { kind: 'telegram', chat_id: 4, token_env: 'SWARM_NOTIFY_B', user_ids: [-5] },
])('%j is refused as a target', (target) => {
  expect(notifySchema.safeParse({ a: target }).success).toBe(false)
})
