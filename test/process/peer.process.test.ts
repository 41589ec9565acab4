import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { spawnPeer } from '../../src/process/index.ts'
import { lives } from '../support/processes.ts'

const fixture = (name: string) => join(__dirname, '..', 'fixtures', 'bin', name)

describe('a peer', () => {
  it('is talked to over stdin and stdout and leaves when stdin ends', async () => {
    const peer = await spawnPeer({ argv: ['cat'], cwd: __dirname })
    peer.stdin.write('hello\n')
    const [chunk] = await once(peer.stdout, 'data')
    expect(String(chunk)).toBe('hello\n')
    expect(await peer.end(5_000)).toEqual({ exitCode: 0, signal: null })
    expect(lives(peer.pid)).toBe(false)
  })

  it('is ended with its children when it does not leave', async () => {
    const peer = await spawnPeer({ argv: [fixture('stubborn')], cwd: __dirname })
    const [chunk] = await once(peer.stdout, 'data')
    const [self = 0, child = 0] = String(chunk).trim().split(' ').map(Number)
    expect(self).toBe(peer.pid)
    expect(await peer.end(100)).toEqual({ exitCode: null, signal: 'SIGKILL' })
    expect(lives(self) || lives(child)).toBe(false)
  })

  it('is killed with its children at once', async () => {
    const peer = await spawnPeer({ argv: [fixture('stubborn')], cwd: __dirname })
    await once(peer.stdout, 'data')
    peer.kill('SIGKILL')
    expect(await peer.exited).toEqual({ exitCode: null, signal: 'SIGKILL' })
  })

  it('in our own group is ended alone', async () => {
    const peer = await spawnPeer({ argv: ['sleep', '30'], cwd: __dirname, group: 'parent' })
    expect(await peer.end(50)).toEqual({ exitCode: null, signal: 'SIGTERM' })
  })

  it('survives being written to after it has gone', async () => {
    const peer = await spawnPeer({ argv: ['true'], cwd: __dirname })
    await peer.exited
    peer.stdin.write('x'.repeat(100_000))
    expect(await peer.end(100)).toEqual({ exitCode: 0, signal: null })
  })

  it('that cannot be started is DEPENDENCY', async () => {
    await expect(spawnPeer({ argv: ['no-such-binary-here'], cwd: __dirname })).rejects.toMatchObject({
      code: 'DEPENDENCY',
      ctx: { binary: 'no-such-binary-here' },
    })
  })
})
