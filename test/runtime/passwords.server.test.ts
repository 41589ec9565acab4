import { createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { SwarmError } from '../../src/contract/errors.ts'
import { openDatabase } from '../../src/db/database.ts'
import { resolveTarget } from '../../src/runtime/target.ts'

/** Asks for TLS in the start of a connection. */
const SSL_REQUEST = 80_877_103
/** An authentication request: type R, length 8, and 3 for a password in clear text. */
const ASK_CLEAR_TEXT = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3])

/** This machine by an address that is not loopback: to the client it is as another machine. */
const outward = Object.values(networkInterfaces())
  .flat()
  .find((one) => one && !one.internal && one.family === 'IPv4')?.address

const servers: Server[] = []
const sockets = new Set<Socket>()
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  for (const server of servers.splice(0)) server.close()
  vi.unstubAllEnvs()
})

/** A server without TLS that asks for the password in clear text and keeps every byte that it gets. */
async function thief(): Promise<{
  readonly port: number
  readonly got: () => string
  readonly starts: () => number
}> {
  let bytes = Buffer.alloc(0)
  let starts = 0
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      if (chunk.length === 8 && chunk.readInt32BE(4) === SSL_REQUEST) socket.write('N')
      else if (chunk[0] === 0x70) socket.end()
      else if (chunk[0] === 0) {
        starts += 1
        socket.write(ASK_CLEAR_TEXT)
      }
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { port: address.port, got: () => bytes.toString('latin1'), starts: () => starts }
}

async function refusal(where: { database_url?: string; env?: Record<string, string>; config?: string }) {
  const root = { path: '/nowhere', config: where.config ? { database_url: where.config } : {} }
  const request = where.database_url ? { database_url: where.database_url } : {}
  const target = resolveTarget(request, where.env ?? {}, root)
  const db = openDatabase(target.open, { connectTimeoutMs: 1_000, statementTimeoutMs: 2_000, holder: 'test' })
  try {
    await db.read('select 1')
  } catch (error) {
    if (error instanceof SwarmError) return error
    throw error
  } finally {
    await db.close()
  }
  throw new Error('it answered')
}

describe('a password of the environment', () => {
  it('goes where the environment or a request says, and never where a configuration file does', async () => {
    vi.stubEnv('PGPASSWORD', 'of-the-user')
    for (const named of ['request', 'environment', 'file'] as const) {
      const { port, got, starts } = await thief()
      const url = `postgres://u@127.0.0.1:${port}/db`
      await refusal(
        named === 'request'
          ? { database_url: url }
          : named === 'file'
            ? { config: url }
            : { env: { DATABASE_URL: url } },
      )
      expect({ named, reached: starts() > 0, stolen: got().includes('of-the-user') }).toEqual({
        named,
        reached: true,
        stolen: named !== 'file',
      })
    }
  })

  it('has pools of its own for a URL of a file', () => {
    const url = 'postgres://u@127.0.0.1:1/db'
    const root = { path: '/nowhere', config: { database_url: url, listen_url: url } }
    const own = resolveTarget({ database_url: url }, {}, root)
    const configured = resolveTarget({}, {}, root)
    expect(own.key).not.toBe(configured.key)
    expect(configured.listen).toEqual({ kind: 'url', url, fromFile: true })
    expect(resolveTarget({}, { SWARM_LISTEN_URL: url }, root).listen).toMatchObject({ fromFile: false })
  })
})

describe.runIf(outward)('off this machine', () => {
  it('TLS is required: a server without it learns nothing', async () => {
    const { port, got, starts } = await thief()
    const error = await refusal({ database_url: `postgres://u:hunter2@${outward}:${port}/db` })
    expect(error).toMatchObject({ code: 'DEPENDENCY' })
    expect(got()).not.toContain('hunter2')
    expect(starts()).toBe(0)
  })

  it.each(['disable', 'allow', 'prefer'])(
    'sslmode=%s goes without TLS, but not with the password in clear text',
    async (mode) => {
      const { port, got, starts } = await thief()
      const error = await refusal({
        database_url: `postgres://u:hunter2@${outward}:${port}/db?sslmode=${mode}`,
      })
      expect(error).toMatchObject({ code: 'DEPENDENCY', message: expect.stringContaining('in clear text') })
      expect(starts()).toBeGreaterThan(0)
      expect(got()).not.toContain('hunter2')
    },
  )
})
