import { expect, test } from 'vitest'
import { createPicture } from '../../src/terminal/picture.ts'
import { cut, displayWidth } from '../../src/terminal/width.ts'

/** A terminal that keeps what was written to it, of a size that can change. */
function terminal(columns: number, rows: number) {
  const resized = new Set<() => void>()
  const it = {
    columns,
    rows,
    written: [] as string[],
    write: (text: string) => it.written.push(text),
    on: (_event: 'resize', listener: () => void) => resized.add(listener),
    off: (_event: 'resize', listener: () => void) => resized.delete(listener),
    resize(width: number) {
      it.columns = width
      for (const listener of resized) listener()
    },
    listeners: () => resized.size,
  }
  return it
}

test('a picture is drawn over the one before; the same one writes nothing', () => {
  const screen = terminal(20, 5)
  const picture = createPicture(screen)
  picture.draw(() => ['one', 'two'])
  picture.draw(() => ['one', 'two'])
  expect(screen.written).toHaveLength(1)
  picture.draw(() => ['three'])
  expect(screen.written[1]).toContain('\x1b[2F')
  expect(screen.written[1]).toContain('three')
})

test('a window of another size is cleared and painted for that size', () => {
  const screen = terminal(20, 5)
  const picture = createPicture(screen)
  picture.draw(({ width }) => [`${width} wide`])
  screen.resize(40)
  const [, cleared, painted] = screen.written
  expect(cleared).toContain('\x1b[2J')
  expect(painted).toContain('40 wide')
})

test('what was printed stays: the next picture begins below it', () => {
  const screen = terminal(20, 5)
  const picture = createPicture(screen)
  picture.draw(() => ['one', 'two'])
  picture.print(['it stays'])
  picture.draw(() => ['one', 'two'])
  expect(screen.written.at(-1)).not.toContain('F')
  picture.end()
  expect(screen.written.at(-1)).toBe('\x1b[?25h')
  expect(screen.listeners()).toBe(0)
})

test('text is cut to columns, with and without a mark', () => {
  expect(cut('landing', 5)).toBe('land…')
  expect(cut('landing', 5, '')).toBe('landi')
  expect(displayWidth(cut('日本語', 5, ''))).toBe(4)
})
