import type { Overview } from '../../contract/run-rows.ts'
import { createPicture } from '../../terminal/picture.ts'
import { overviewLines } from './overview.ts'

/** How a run stands, drawn over itself on a terminal. */
export interface Live {
  draw(overview: Overview): void
  /** Leaves the last picture where it is and gives the cursor back. */
  end(): void
}

/** Draws on a terminal, from where its cursor is. */
export function createLive(stdout: NodeJS.WriteStream): Live {
  const picture = createPicture(stdout)
  return {
    draw(overview) {
      picture.draw(({ width, height }) =>
        overviewLines(overview, { width, height: height - 1, colour: stdout.hasColors() }),
      )
    },
    end: () => picture.end(),
  }
}
