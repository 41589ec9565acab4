import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLineSplitter, type Line } from '../../src/wire/lines.ts'

function split(bytes: Uint8Array | string, options: { max?: number; chunk?: number } = {}): Line[] {
  const splitter = createLineSplitter(options.max)
  const all = Buffer.from(bytes)
  const lines: Line[] = []
  const step = options.chunk ?? Math.max(all.length, 1)
  for (let at = 0; at < all.length; at += step) lines.push(...splitter.push(all.subarray(at, at + step)))
  return [...lines, ...splitter.end()]
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
}

const texts = (lines: Line[]) => lines.map((line) => ('text' in line ? line.text : line.problem))

describe('lines', () => {
  it('cuts at newlines and takes the last line without one', () => {
    expect(split('a\nb\nc')).toEqual([
      { number: 1, bytes: 1, text: 'a' },
      { number: 2, bytes: 1, text: 'b' },
      { number: 3, bytes: 1, text: 'c' },
    ])
  })

  it('passes over blank lines but counts them', () => {
    expect(split('\n  \t\r\n\r\na\n\n').map((line) => line.number)).toEqual([4])
  })

  it('takes CRLF, and a CR only where it ends the line', () => {
    expect(texts(split('a\r\nb\rc\r\nd\r'))).toEqual(['a', 'b\rc', 'd'])
  })

  it.each([1, 2, 3, 100])('takes one byte order mark at the start, in chunks of %i', (chunk) => {
    expect(texts(split('\ufeffa\n\ufeffb\n', { chunk }))).toEqual(['a', '\ufeffb'])
    expect(texts(split('\ufeff\n', { chunk }))).toEqual([])
  })

  it.each([1, 3, 7, 1_000])('bounds a line by its bytes, in chunks of %i', (chunk) => {
    const text = `${'x'.repeat(10)}\r\n${'x'.repeat(11)}\n${'é'.repeat(5)}\n${'é'.repeat(6)}\r\nok`
    expect(texts(split(text, { max: 10, chunk }))).toEqual([
      'x'.repeat(10),
      { kind: 'too-long', limit: 10 },
      'é'.repeat(5),
      { kind: 'too-long', limit: 10 },
      'ok',
    ])
  })

  it('says how long a line was that it did not keep', () => {
    const [long] = split(`${'x'.repeat(2_097_152)}\n`, { chunk: 65_536 })
    expect(long).toEqual({ number: 1, bytes: 2_097_152, problem: { kind: 'too-long', limit: 1_048_576 } })
  })

  it('does not hold a line that is too long', async () => {
    const splitter = createLineSplitter(1_024)
    const chunk = Buffer.alloc(1_048_576, 120)
    const before = process.memoryUsage().arrayBuffers
    for (let count = 0; count < 256; count += 1) splitter.push(Buffer.from(chunk))
    const kept = () => {
      collectGarbage()
      return process.memoryUsage().arrayBuffers - before
    }
    // buffers that nobody holds are given back by another thread
    await expect.poll(kept).toBeLessThan(16 * 1_048_576)
    expect(splitter.push(Buffer.from('\nnext\n')).map((line) => line.bytes)).toEqual([268_435_456, 4])
  })

  it.each([
    [[0x61, 0xff, 0x62], 1],
    [[0xc3], 0],
    [[0x61, 0xe2, 0x82], 2],
    [[0xed, 0xa0, 0x80], 1],
    [[0xc0, 0x80], 0],
  ])('reports bytes %j that are not UTF-8 at %i and goes on', (bytes, at) => {
    const [bad, good] = split(Buffer.concat([Buffer.from(bytes), Buffer.from('\nok')]))
    expect(bad).toMatchObject({ problem: { kind: 'not-utf8', at } })
    expect(good).toMatchObject({ text: 'ok' })
  })

  it('gives the same lines whatever the chunks', () => {
    const piece = fc.constantFrom('a', 'é', '😀', '\r', '\n', '\r\n', ' ', 'xxxxxxxx', '\ufeff')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), fc.integer({ min: 1, max: 9 }), (pieces, chunk) => {
        const text = pieces.join('')
        expect(split(text, { max: 12, chunk })).toEqual(split(text, { max: 12 }))
      }),
    )
  })
})
