import { chmodSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { embeddedPointer, stopEmbedded } from '../../src/embedded/index.ts'
import { openAt, scratch } from './setup-support.ts'

/* Roots without DATABASE_URL: the embedded server of each. */
const parent = scratch()
chmodSync(parent, 0o755)
const first = join(parent, 'one')
const moved = join(parent, 'two')

afterAll(async () => {
  for (const root of [first, moved]) await stopEmbedded(join(root, '.swarm'))
})

describe('in a directory without a database', () => {
  it('init is enough, and the process goes on with what it made', async () => {
    const place = openAt(parent, { SWARM_ROOT: first })
    expect((await place.refused({ cmd: 'status' })).fix).toEqual({ cmd: 'init' })
    expect(await place.ask({ cmd: 'init', count: 2 })).toMatchObject({
      root: first,
      repo: 'one',
      agent_ids: [1, 2],
      changed: true,
    })
    expect(await place.ask({ cmd: 'init', count: 2 })).toMatchObject({ changed: false })
    expect(await place.ask({ cmd: 'status' })).toMatchObject({ repo: 'one', database: { kind: 'embedded' } })
    expect(await place.ask({ cmd: 'doctor' })).toMatchObject({
      healthy: true,
      checks: expect.arrayContaining([
        { name: 'disk', ok: true, detail: expect.stringMatching(/ GiB free at .*\/\.swarm\/pg$/) },
      ]),
    })
  })

  it('db starts and stops the server, and a request starts it again', async () => {
    const place = openAt(parent, { SWARM_ROOT: first })
    const db = (action: string) => place.ask({ cmd: 'db', action })
    expect(await db('status')).toMatchObject({
      running: true,
      used: true,
      changed: false,
      version: expect.stringMatching(/^18/),
    })
    expect(await db('stop')).toMatchObject({ running: false, changed: true })
    expect(await db('stop')).toMatchObject({ running: false, changed: false })
    expect(await place.ask({ cmd: 'status' })).toMatchObject({ agents: { absent: 2 } })
    expect(await db('start')).toMatchObject({ running: true, changed: false })
    const elsewhere = openAt(parent, { SWARM_ROOT: first, DATABASE_URL: 'postgres://nobody@127.0.0.1:1/x' })
    expect(await elsewhere.ask({ cmd: 'db', action: 'status' })).toMatchObject({ used: false, running: true })
    expect(await elsewhere.ask({ cmd: 'init-local-db' })).toMatchObject({
      repo: 'one',
      started: false,
      changed: false,
    })
  })

  it('a directory that was moved keeps its repo', async () => {
    await openAt(parent, { SWARM_ROOT: first }).ask({ cmd: 'db', action: 'stop' })
    renameSync(first, moved)
    const place = openAt(parent, { SWARM_ROOT: moved })
    expect(await place.ask({ cmd: 'init', count: 2 })).toMatchObject({ repo: 'one', changed: true })
    expect(await place.ask({ cmd: 'init', count: 2 })).toMatchObject({ changed: false })
  })

  it('reset needs force, and makes an empty database that is ready for use', async () => {
    const place = openAt(parent, { SWARM_ROOT: moved })
    await place.ask({ cmd: 'enqueue', beads: [{ bead_id: 'a', title: 'a' }] })
    const refusal = await place.refused({ cmd: 'db', action: 'reset' })
    expect(refusal).toMatchObject({ code: 'INVALID', ctx: { field: 'force' } })
    expect(await place.ask({ cmd: 'status' })).toMatchObject({ ready: 1 })
    // a fix destroys nothing: whoever means it says so
    expect(refusal.fix ?? {}).not.toMatchObject({ action: 'reset' })
    expect(await place.ask({ cmd: 'db', action: 'reset', force: true })).toMatchObject({
      action: 'reset',
      changed: true,
      running: false,
    })
    // the same process, whose connections have gone with the server
    expect(await place.ask({ cmd: 'status' })).toMatchObject({ ready: 0, database: { kind: 'embedded' } })
    expect(await place.ask({ cmd: 'init' })).toMatchObject({ agent_ids: [1, 2, 3, 4], changed: true })
    expect((await embeddedPointer(join(moved, '.swarm')))?.pid).not.toBeNull()
  })
})
