/** The part of a terminal's stream that a picture needs. */
export interface Terminal {
  readonly columns: number
  readonly rows: number
  write(text: string): unknown
  on(event: 'resize', listener: () => void): unknown
  off(event: 'resize', listener: () => void): unknown
}

/** The lines of a picture for a window of `width` columns and `height` rows; one row less than the window has keeps the cursor inside. */
export type Paint = (window: { readonly width: number; readonly height: number }) => readonly string[]

/** A picture that is drawn over itself, from where the cursor of the terminal is. */
export interface Picture {
  /** Draws it; the same picture again writes nothing. */
  draw(paint: Paint): void
  /** Lines that stay; a later picture begins below them. */
  print(lines: readonly string[]): void
  /** Leaves the last picture where it is and gives the cursor back. */
  end(): void
}

const HIDE_CURSOR = '\x1b[?25l'
const SHOW_CURSOR = '\x1b[?25h'
/** A line that is wider than thought is cut at the edge: wrapped, it would shift the picture. */
const NO_WRAP = '\x1b[?7l'
const WRAP = '\x1b[?7h'
const CLEAR_LINE = '\x1b[K'
const CLEAR_BELOW = '\x1b[J'
const CLEAR_ALL = '\x1b[2J\x1b[H'

export function createPicture(terminal: Terminal): Picture {
  let drawn = 0
  let shown = ''
  let last: Paint | undefined
  const draw = (paint: Paint) => {
    last = paint
    const lines = paint({ width: terminal.columns || 80, height: terminal.rows || 24 })
    const text = lines.map((line) => `${CLEAR_LINE}${line}\n`).join('')
    if (text === shown) return
    const home = drawn > 0 ? `\x1b[${drawn}F` : ''
    terminal.write(`${HIDE_CURSOR}${NO_WRAP}${home}${text}${CLEAR_BELOW}${WRAP}`)
    drawn = lines.length
    shown = text
  }
  // a window of another width breaks the lines elsewhere: the picture begins anew
  const onResize = () => {
    terminal.write(CLEAR_ALL)
    drawn = 0
    shown = ''
    if (last) draw(last)
  }
  terminal.on('resize', onResize)
  return {
    draw,
    print(lines) {
      terminal.write(lines.map((line) => `${CLEAR_LINE}${line}\n`).join(''))
      drawn = 0
      shown = ''
      last = undefined
    },
    end() {
      terminal.off('resize', onResize)
      terminal.write(SHOW_CURSOR)
    },
  }
}
