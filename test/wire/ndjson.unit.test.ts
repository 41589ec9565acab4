import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FileLine, type ReadLinesOptions, readLines, writeLines } from '../../src/ndjson.ts'

async function read(source: string | Readable, options?: ReadLinesOptions): Promise<FileLine[]> {
  const found: FileLine[] = []
  for await (const one of readLines(source, options)) found.push(one)
  return found
}

/** A character may be cut anywhere. */
function* inPieces(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'swarm-ndjson-'))
})
afterAll(() => rm(dir, { recursive: true }))

describe('readLines', () => {
  it('gives every line its number, reports a bad one and goes on', async () => {
    const bytes = [
      Buffer.from('\ufeff{"a":1}\r\n\n{"b":\nnull\n0\nfalse\n""\n"é😀"\n[1]\n'),
      Buffer.from([0x22, 0xff, 0x22, 0x0a]),
      Buffer.from(`"${'x'.repeat(60)}"\n{"last":true}`),
    ]
    const stream = Readable.from(inPieces(Buffer.concat(bytes), 1))
    expect(await read(stream, { maxLineBytes: 50 })).toEqual([
      { line: 1, value: { a: 1 } },
      { line: 3, error: 'not JSON at character 6: a value is missing' },
      { line: 4, value: null },
      { line: 5, value: 0 },
      { line: 6, value: false },
      { line: 7, value: '' },
      { line: 8, value: 'é😀' },
      { line: 9, value: [1] },
      { line: 10, error: 'not UTF-8 at byte 2' },
      { line: 11, error: 'too long: 62 bytes, at most 50 are read' },
      { line: 12, value: { last: true } },
    ])
  })

  it('reads many bad lines in a row', async () => {
    const found = await read(Readable.from([Buffer.from(`${'{bad\n'.repeat(500)}{"ok":1}\n`)]))
    expect(found.filter((one) => one.error !== undefined)).toHaveLength(500)
    expect(found.at(-1)).toEqual({ line: 501, value: { ok: 1 } })
  })

  it('reads a long line whole', async () => {
    const bytes = Buffer.from(`"${'x'.repeat(8_388_608)}"\n`)
    const [found] = await read(Readable.from(inPieces(bytes, 65_536)))
    expect(String(found?.value)).toHaveLength(8_388_608)
  })

  it('throws for a file that is not there', async () => {
    await expect(read(join(dir, 'none.jsonl'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('writeLines', () => {
  it('writes what readLines reads', async () => {
    const path = join(dir, 'out.jsonl')
    const values = Array.from({ length: 5_000 }, (_, n) => ({ n, text: 'é\n"\u2028' }))
    await writeLines(path, values)
    expect((await readFile(path, 'utf8')).split('\n')).toHaveLength(5_001)
    expect((await read(path)).map((one) => one.value)).toEqual(values)
  })

  it('leaves a stream open', async () => {
    const stream = new PassThrough()
    await writeLines(stream, [{ a: 1 }])
    await writeLines(stream, [{ b: 2 }])
    stream.end()
    expect((await read(stream)).map((one) => one.value)).toEqual([{ a: 1 }, { b: 2 }])
  })

  it('fails when the file cannot be written', async () => {
    await writeFile(join(dir, 'file'), '')
    await expect(writeLines(join(dir, 'file', 'x'), [{ a: 1 }])).rejects.toMatchObject({ code: 'ENOTDIR' })
  })
})
