import type { WriteStream } from 'node:tty'
import { createPicture } from '../terminal/picture.ts'
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
  const picture = createPicture(out)
  return {
    show: (board, elapsedMs) => picture.draw((window) => renderFrame(board, style, { ...window, elapsedMs })),
    print: (lines) => picture.print(lines),
    close: () => picture.end(),
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
