import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { collectBounded, tailOf } from '../../src/process/bounded.ts'

/** Splits bytes at the given places and feeds them in. */
function collect(bytes: Buffer, cuts: readonly number[], max: number) {
  const collector = collectBounded(max)
  let from = 0
  for (const cut of [...cuts, bytes.length].sort((a, b) => a - b)) {
    const to = Math.min(Math.max(cut, from), bytes.length)
    collector.add(bytes.subarray(from, to))
    from = to
  }
  return collector.result()
}

describe('bounded output', () => {
  it('keeps everything that fits', () => {
    expect(collect(Buffer.from('hello'), [2], 5)).toEqual({ text: 'hello', bytes: 5, cutBytes: 0 })
  })

  it('keeps the beginning and the end and says how much is missing', () => {
    const { text, bytes, cutBytes } = collect(Buffer.from(`begin${'x'.repeat(10_000)}end`), [], 100)
    expect(text).toMatch(/^begin/)
    expect(text).toMatch(/end$/)
    expect(text).toContain(`\n[... ${cutBytes} bytes cut ...]\n`)
    expect(bytes).toBe(10_008)
    expect(cutBytes).toBe(10_008 - 100)
  })

  it('shows null bytes, which no database text can hold', () => {
    expect(collect(Buffer.from('a\0b'), [], 10).text).toBe('a\u2400b')
  })

  it('is bounded, exact about the cut and never splits a character, however the chunks fall', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 400 }),
        fc.array(fc.nat(1_600), { maxLength: 20 }),
        fc.integer({ min: 8, max: 300 }),
        (source, cuts, max) => {
          const bytes = Buffer.from(source)
          const { text, bytes: counted, cutBytes } = collect(bytes, cuts, max)
          expect(counted).toBe(bytes.length)
          const whole = bytes.toString('utf8').replaceAll('\0', '\u2400')
          if (cutBytes === 0) {
            expect(bytes.length).toBeLessThanOrEqual(max)
            expect(text).toBe(whole)
            return
          }
          const [head = '', tail = ''] = text.split(`\n[... ${cutBytes} bytes cut ...]\n`)
          expect(whole.startsWith(head)).toBe(true)
          expect(whole.endsWith(tail)).toBe(true)
          expect(bytes.length - cutBytes).toBeLessThanOrEqual(max)
          expect(bytes.length - cutBytes).toBeGreaterThan(max - 8)
        },
      ),
    )
  })

  it('does not hold on to what it will not keep', () => {
    const collector = collectBounded(1_000)
    const before = process.memoryUsage().arrayBuffers
    for (let n = 0; n < 2_000; n++) collector.add(Buffer.alloc(65_536, 'x'))
    global.gc?.()
    expect(collector.result().bytes).toBe(2_000 * 65_536)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000_000)
  })
})

describe('the tail of a text', () => {
  it('is the whole text when short, without its last newlines', () => {
    expect(tailOf('a\nb\n\n', 10)).toBe('a\nb')
  })
  it('begins at a line', () => {
    expect(tailOf(`${'x'.repeat(100)}\nlast but one\nlast\n`, 20)).toBe('last but one\nlast')
  })
  it('keeps a long line rather than next to nothing', () => {
    expect(tailOf(`${'x'.repeat(100)}\n`, 20)).toBe('x'.repeat(20))
  })
  it('never begins with half a character', () => {
    expect(tailOf('x😀y', 2)).toBe('y')
  })
})
