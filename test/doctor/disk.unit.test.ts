import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkDisk, disk } from '../../src/doctor/disk.ts'

const BLOCK = 4096
const GIB = 1024 ** 3
const at = (free: number, all = 100 * GIB) => ({
  bsize: BLOCK,
  blocks: all / BLOCK,
  bavail: Math.floor(free / BLOCK),
})

describe('the free disk space of the embedded data', () => {
  test('1 GiB is enough, and both sizes are told', () => {
    expect(disk(at(GIB), '/r/.swarm/pg')).toEqual({
      name: 'disk',
      ok: true,
      detail: '1.0 GiB of 100.0 GiB free at /r/.swarm/pg',
    })
  })

  test('one block less is a fault, and is not shown as if it were enough', () => {
    const { ok, detail } = disk(at(GIB - BLOCK), '/r/.swarm/pg')
    expect({ ok, detail }).toEqual({ ok: false, detail: expect.stringMatching(/^0\.9 GiB .* make room$/) })
  })

  test('a full disk and a huge one are counted right', () => {
    expect(disk(at(0), '/d')).toMatchObject({ ok: false, detail: expect.stringContaining('0.0 GiB of') })
    expect(disk(at(5_000 * 1024 * GIB, 2 ** 53), '/d')).toMatchObject({
      ok: true,
      detail: expect.stringContaining('5120000.0 GiB of 8388608.0 GiB'),
    })
  })
})

describe('where it looks', () => {
  let root: string
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'swarm-disk-'))
  })
  afterEach(() => rmSync(root, { recursive: true, force: true }))

  test('at the data, at .swarm before there are any, and it says so where it can look at neither', () => {
    expect(checkDisk(root)).toMatchObject({ ok: false, detail: expect.stringContaining('(ENOENT)') })
    mkdirSync(join(root, '.swarm'))
    expect(checkDisk(root).detail).toMatch(/ of \d+\.\d GiB free at .*\.swarm(;|$)/)
    mkdirSync(join(root, '.swarm', 'pg'))
    expect(checkDisk(root).detail).toMatch(/ of \d+\.\d GiB free at .*\.swarm\/pg(;|$)/)
  })

  test.runIf(process.platform === 'linux')('at the disk that data outside the tree lie on', () => {
    mkdirSync(join(root, '.swarm'))
    // a file system without any blocks
    symlinkSync('/proc/self', join(root, '.swarm', 'pg'))
    expect(checkDisk(root)).toMatchObject({
      ok: false,
      detail: expect.stringContaining('0.0 GiB of 0.0 GiB'),
    })
  })
})
