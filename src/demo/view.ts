import { oneLine } from '../terminal/width.ts'
import type { Board, Lane, News } from './board.ts'
import { column, type Style } from './style.ts'

export interface Frame {
  readonly width: number
  readonly height: number
  readonly elapsedMs: number
}

const MOST_NEWS = 12
const NAME_WIDTH = 24
const STAGE_WIDTH = 13

/** The picture as lines, none wider than the frame, not more than it has. */
export function renderFrame(board: Board, style: Style, frame: Frame): string[] {
  const lanes = board.lanes.map((lane) => laneLine(board, lane, style, frame))
  const fixed = [...head(board, style, frame), '', ...lanes, ...trainLines(board, style, frame)]
  // one line stays free for the cursor
  const room = Math.max(0, Math.min(MOST_NEWS, frame.height - 2 - fixed.length))
  const news = room > 0 ? board.news.slice(-room).map((item) => newsLine(item, style, frame.width)) : []
  return [...fixed, ...(news.length > 0 ? ['', ...news] : [])].slice(0, frame.height - 1)
}

function head(board: Board, style: Style, { width, elapsedMs }: Frame): string[] {
  const { signs } = style
  const right = `${board.landed}/${board.total} landed ${signs.dot} ${seconds(elapsedMs)}`
  const bar = Math.max(10, Math.min(width - right.length - 6, 60))
  const full = Math.round(bar * Math.min(1, board.landed / Math.max(1, board.total)))
  const title = `${board.lanes.length} agents ${signs.dot} ${board.total} beads ${signs.dot} ${board.leader}`
  return [
    ` ${style.bold('swarm up')}  ${style.dim(column(title, width - 12, signs.cut).trimEnd())}`,
    '',
    ` ${style.green(signs.full.repeat(full))}${style.dim(signs.empty.repeat(bar - full))}  ${right}`,
  ]
}

function laneLine(board: Board, { agent, role, bead, stage, attempt }: Lane, style: Style, { width }: Frame) {
  const { signs } = style
  const name = column(` agent ${agent} ${role}`, NAME_WIDTH, signs.cut)
  if (bead === undefined || stage === undefined)
    return style.dim(`${name}${signs.idle} ${column('idle', width - NAME_WIDTH - 2, signs.cut).trimEnd()}`)
  const again = (attempt ?? 1) > 1
  const what = column(`${stage}${again ? ` #${attempt}` : ''}`, STAGE_WIDTH, signs.cut)
  const rest = width - NAME_WIDTH - 2 - STAGE_WIDTH
  const idWidth = Math.min(20, rest)
  const title = column(` ${board.titles.get(bead) ?? ''}`, rest - idWidth, signs.cut)
  return (
    name +
    style.green(`${signs.working} `) +
    (again ? style.yellow : style.cyan)(what) +
    column(bead, idWidth, signs.cut) +
    style.dim(title.trimEnd())
  )
}

function trainLines({ train }: Board, style: Style, { width }: Frame): string[] {
  const { signs } = style
  const cars = train.map(({ bead_id, status }) => `${bead_id} (${status})`).join(` ${signs.back} `)
  const name = column(' landing train', NAME_WIDTH, signs.cut)
  const text = cars === '' ? 'empty' : cars
  return [style.dim(name) + column(text, width - NAME_WIDTH, signs.cut).trimEnd()]
}

function newsLine({ atMs, tone, text }: News, style: Style, width: number): string {
  const time = column(` ${seconds(atMs)}`, 10, '')
  return style.dim(time) + tint(tone, style)(column(text, width - 10, style.signs.cut).trimEnd())
}

function tint(tone: News['tone'], style: Style): (text: string) => string {
  switch (tone) {
    case 'good':
      return style.green
    case 'bad':
      return style.yellow
    case 'alarm':
      return style.red
    case 'plain':
      return (text) => text
  }
}

/** One piece of news as a line of its own, for output that is no terminal. */
export function plainLine({ atMs, text }: News): string {
  return `${seconds(atMs).padStart(7)}  ${oneLine(text)}`
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}
