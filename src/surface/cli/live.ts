import type { Overview } from '../../contract/run-rows.ts'
import { overviewLines } from './overview.ts'

/** A picture on a terminal that is drawn over itself. */
export interface Live {
  draw(overview: Overview): void
  /** Leaves the last picture where it is and gives the cursor back. */
  end(): void
}

const HIDE_CURSOR = '\x1b[?25l'
const SHOW_CURSOR = '\x1b[?25h'
const CLEAR_LINE = '\x1b[K'
const CLEAR_BELOW = '\x1b[J'

/** Draws on a terminal, from where its cursor is. */
export function createLive(stdout: NodeJS.WriteStream): Live {
  let drawn = 0
  let last: Overview | undefined
  const show = () => {
    if (!last) return
    const { columns: width = 80, rows = 24 } = stdout
    const lines = overviewLines(last, { width, height: rows - 1, colour: stdout.hasColors() })
    const home = drawn > 0 ? `\x1b[${drawn}F` : ''
    stdout.write(
      `${HIDE_CURSOR}${home}${lines.map((line) => `${CLEAR_LINE}${line}\n`).join('')}${CLEAR_BELOW}`,
    )
    drawn = lines.length
  }
  // a window of another width breaks the lines elsewhere: the picture begins anew
  const onResize = () => {
    stdout.write('\x1b[2J\x1b[H')
    drawn = 0
    show()
  }
  stdout.on('resize', onResize)
  return {
    draw(overview) {
      last = overview
      show()
    },
    end() {
      stdout.off('resize', onResize)
      stdout.write(SHOW_CURSOR)
    },
  }
}
