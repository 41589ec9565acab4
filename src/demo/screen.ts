import type { WriteStream } from 'node:tty'
import type { Board } from './board.ts'
import type { Style } from './style.ts'
import { plainLine, renderFrame } from './view.ts'

/** Where the demo is watched: drawn in place on a terminal, line by line elsewhere. */
export interface Screen {
  /** Shows the state now. Cheap: call it as often as it shall change. */
  show(board: Board, elapsedMs: number): void
  /** Text that stays, below what was drawn. */
  print(lines: readonly string[]): void
  /** Gives the terminal back as it was. */
  close(): void
}

const HIDE_CURSOR = '\x1b[?25l'
const SHOW_CURSOR = '\x1b[?25h'
const CLEAR_LINE = '\x1b[K'
const CLEAR_BELOW = '\x1b[J'
const CLEAR_ALL = '\x1b[2J\x1b[H'
/** A title with wide characters must be cut at the edge, not wrapped: that would shift the picture. */
const NO_WRAP = '\x1b[?7l'
const WRAP = '\x1b[?7h'

/** A screen for `out`: in place on a terminal that can do it, plain lines elsewhere. */
export function createScreen(
  out: WriteStream,
  style: Style,
  env: Readonly<Record<string, string | undefined>>,
): Screen {
  return out.isTTY === true && env.TERM !== 'dumb' ? createTerminalScreen(out, style) : createPlainScreen(out)
}

/** A terminal: the picture is drawn over itself, as high as the window allows. */
function createTerminalScreen(out: WriteStream, style: Style): Screen {
  let drawn = 0
  let last = ''
  const onResize = () => {
    out.write(CLEAR_ALL)
    drawn = 0
    last = ''
  }
  out.on('resize', onResize)
  const home = () => (drawn > 0 ? `\x1b[${drawn}F` : '')
  return {
    show(board, elapsedMs) {
      const { columns: width = 80, rows: height = 24 } = out
      const lines = renderFrame(board, style, { width, height, elapsedMs })
      const text = lines.map((line) => `${CLEAR_LINE}${line}\n`).join('')
      if (text === last) return
      out.write(`${HIDE_CURSOR}${NO_WRAP}${home()}${text}${CLEAR_BELOW}${WRAP}`)
      drawn = lines.length
      last = text
    },
    print(lines) {
      out.write(lines.map((line) => `${CLEAR_LINE}${line}\n`).join(''))
      drawn = 0
      last = ''
    },
    close() {
      out.off('resize', onResize)
      out.write(SHOW_CURSOR)
    },
  }
}

/** No terminal: what is new is told once, in a line of its own. */
function createPlainScreen(out: NodeJS.WritableStream): Screen {
  let told = 0
  return {
    show({ news }) {
      for (const item of news.slice(told)) out.write(`${plainLine(item)}\n`)
      told = news.length
    },
    print: (lines) => void out.write(lines.map((line) => `${line}\n`).join('')),
    close: () => {},
  }
}
