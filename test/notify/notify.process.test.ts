import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { notifyPlaces, type Place } from '../support/notify.ts'
import { runSwarm } from '../support/swarm.ts'

const { url: database } = await testDatabase()
const KEY = Buffer.alloc(32, 7)
const SECRETS = { SWARM_NOTIFY_KEY: `whsec_${KEY.toString('base64')}` }

interface Got {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A receiver on this machine. `answer` is asked how to answer each request. */
async function receiver(answer: (got: Got, at: number, response: ServerResponse) => void, port = 0) {
  const got: Got[] = []
  const waiting: (() => void)[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString('utf8')
    })
    request.on('end', () => {
      const one = { path: request.url ?? '', headers: request.headers, body }
      got.push(one)
      answer(one, got.length, response)
      for (const wake of waiting.splice(0)) wake()
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const made = {
    got,
    // a server that listens has a port
    port: (server.address() as AddressInfo).port,
    async until(count: number): Promise<void> {
      while (got.length < count) await new Promise<void>((resolve) => waiting.push(resolve))
    },
    async close(): Promise<void> {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return made
}

const ok = (_got: Got, _at: number, response: ServerResponse) => response.end('{}')

const { place, start: startNotify } = notifyPlaces(database, SECRETS)

function webhookAt(port: number, more = 'allow_private = ["127.0.0.1"]') {
  return place({
    a: `kind = "webhook"\nurl = "http://127.0.0.1:${port}/hidden-path"\nsecret_env = "SWARM_NOTIFY_KEY"\n${more}`,
  })
}

async function ask(place: Place, question: string): Promise<void> {
  const { envelopes } = await runSwarm(['ask', '--question', question], place)
  expect(envelopes.at(-1), question).toMatchObject({ ok: true })
}

function textOf({ body }: Got): string {
  return JSON.parse(body).data.text
}

test('an incident is delivered with a valid signature, and no secret is shown', {
  timeout: 60_000,
}, async () => {
  const hook = await receiver(ok)
  const place = webhookAt(hook.port)
  const notify = await startNotify(place)
  await ask(place, 'Which colour?')
  await hook.until(1)
  // until(1) has resolved, so there is one
  const { headers, body } = hook.got[0] ?? { headers: {} as IncomingHttpHeaders, body: '' }
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
  expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', KEY).update(signed).digest('base64')}`)
  expect(JSON.parse(body)).toMatchObject({
    type: 'incident.opened',
    data: { severity: 'warning', event_type: 'question_asked', text: 'an agent asks: Which colour?' },
  })
  await notify.said(/"sent"/)
  expect(await notify.end('SIGTERM')).toBe(0)
  expect(notify.lines.join('\n')).not.toMatch(/hidden-path|whsec_|BwcHBwc/)
  await hook.close()
})

test('nothing is lost or told twice while the process and the receiver are away', {
  timeout: 120_000,
}, async () => {
  const first = await receiver(ok)
  const { port } = first
  const place = webhookAt(port)
  const before = await startNotify(place)
  await ask(place, 'one?')
  await before.said(/"sent".*one/)
  await first.close()
  await ask(place, 'two?')
  await before.said(/"failed".*two/)
  await before.end('SIGKILL')
  await ask(place, 'three?')
  const second = await receiver(ok, port)
  // the cursor is free once the lease of the reader that was killed has run out
  const after = await startNotify(place)
  await second.until(2)
  await ask(place, 'four?')
  await second.until(3)
  await after.said(/"sent".*four/)
  expect(await after.end('SIGTERM')).toBe(0)
  expect(second.got.map(textOf)).toEqual([
    'an agent asks: two?',
    'an agent asks: three?',
    'an agent asks: four?',
  ])
  expect(new Set(second.got.map(({ headers }) => headers['webhook-id'])).size).toBe(3)
  await second.close()
})

test('a receiver that fails once gets the same message under the same id 5 s later', {
  timeout: 60_000,
}, async () => {
  const hook = await receiver((_got, at, response) => {
    response.statusCode = at === 1 ? 500 : 200
    response.end()
  })
  const place = webhookAt(hook.port)
  const notify = await startNotify(place)
  await ask(place, 'again?')
  await hook.until(2)
  await notify.said(/"sent"/)
  const [one, two] = hook.got
  expect(two?.body).toBe(one?.body)
  expect(two?.headers['webhook-id']).toBe(one?.headers['webhook-id'])
  await notify.end('SIGTERM')
  await hook.close()
})

test('a redirect is not followed', { timeout: 60_000 }, async () => {
  const inner = await receiver(ok)
  const hook = await receiver((_got, _at, response) => {
    response.writeHead(307, { location: `http://127.0.0.1:${inner.port}/` }).end()
  })
  const { envelopes, code } = await runSwarm(['notify', 'test'], webhookAt(hook.port))
  expect(code).not.toBe(0)
  expect(JSON.stringify(envelopes.at(-1))).toMatch(/DEPENDENCY.*redirects are not followed/)
  expect(hook.got).toHaveLength(1)
  expect(inner.got).toEqual([])
  await hook.close()
  await inner.close()
})

test('a private address that is not named is not connected to', { timeout: 60_000 }, async () => {
  const hook = await receiver(ok)
  const { envelopes } = await runSwarm(['notify', 'test'], webhookAt(hook.port, ''))
  expect(JSON.stringify(envelopes.at(-1))).toMatch(/private address 127\.0\.0\.1/)
  expect(hook.got).toEqual([])
  await hook.close()
})

test('a secret that is not in the environment is asked for by name', { timeout: 60_000 }, async () => {
  const { cwd } = webhookAt(9)
  const { envelopes, code } = await runSwarm(['notify', 'run'], {
    cwd,
    env: { DATABASE_URL: database, SWARM_TRUST: '1' },
  })
  expect(code).toBe(2)
  expect(envelopes.at(-1)).toMatchObject({ ok: false, err: { code: 'INVALID' } })
  expect(JSON.stringify(envelopes.at(-1))).toContain('SWARM_NOTIFY_KEY')
})
