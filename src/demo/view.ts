import { type BeadView, type Lane, type Model, type News, readyBeads, waitingBeads } from './model.ts'
import { column, printable, type Style } from './style.ts'

export interface Frame {
  readonly width: number
  readonly height: number
  /** `performance.now()`. */
  readonly now: number
  readonly elapsedMs: number
  /** From 0 to 1. */
  readonly progress: number
}

const MOST_NEWS = 14
const MOST_WAITING = 12

/** The picture as lines, none wider than the frame, not more than column. */
export function renderFrame(model: Model, style: Style, frame: Frame): string[] {
  const { width } = frame
  const lanes = model.lanes.map((lane) => laneLine(model, lane, style, frame))
  const fixed = [...head(model, style, frame), '', ...lanes, '']
  // one line stays free for the cursor
  const left = Math.max(0, frame.height - 1 - fixed.length)
  const waiting = waitingLines(model, style, width, Math.min(MOST_WAITING, Math.ceil(left / 2)))
  const room = Math.max(0, Math.min(MOST_NEWS, left - waiting.length - 1))
  const news = latest(model.news, room).map((item) => newsLine(item, style, width))
  return [...fixed, ...waiting, ...(room > 0 ? ['', ...news] : [])].slice(0, frame.height - 1)
}

/** The last news that have room; talk gets a third of it. */
function latest(news: readonly News[], room: number): News[] {
  const shown: News[] = []
  let talk = 0
  for (let at = news.length - 1; at >= 0 && shown.length < room; at--) {
    const item = news[at]
    if (!item || (!item.weighty && ++talk > room / 3)) continue
    shown.unshift(item)
  }
  return shown
}

function head(model: Model, style: Style, { width, elapsedMs, progress }: Frame): string[] {
  const { finished, retried, messages } = model.count
  const right = `${finished}/${model.total} done ${style.signs.dot} ${seconds(elapsedMs)}`
  const bar = Math.max(10, Math.min(width - right.length - 6, 60))
  const full = Math.round(bar * progress)
  const counts = `${retried} retried ${style.signs.dot} ${messages} messages`
  const title = `${model.lanes.length} agents ${style.signs.dot} ${model.total} beads ${style.signs.dot} ${counts}`
  return [
    ` ${style.bold('swarm demo')}  ${style.dim(column(title, width - 14, style.signs.cut).trimEnd())}`,
    '',
    ` ${style.green(style.signs.full.repeat(full))}${style.dim(style.signs.empty.repeat(bar - full))}  ${right}`,
  ]
}

const STAGE_WIDTH = 13

function laneLine(model: Model, lane: Lane, style: Style, { width, now }: Frame): string {
  const { signs } = style
  const name = column(` agent ${lane.agent}`, 10, signs.cut)
  const bead = lane.bead === undefined ? undefined : model.beads.get(lane.bead)
  const rest = width - 10 - 2 - STAGE_WIDTH
  if (lane.state === 'killed') {
    const left = Math.max(0, (lane.leaseEnds ?? now) - now)
    const text = bead
      ? `held ${bead.bead_id} (fence ${bead.fence}); its lease ends in ${seconds(left)}`
      : 'its lease has ended, the bead is back'
    return (
      name +
      style.red(
        `${signs.killed} ${column('killed -9', STAGE_WIDTH, signs.cut)}${column(text, rest, signs.cut).trimEnd()}`,
      )
    )
  }
  if (lane.state === 'working' && bead) {
    const again = bead.attempt > 1 ? style.yellow : style.cyan
    const tail = `${width < 100 ? '#' : 'attempt '}${bead.attempt}, fence ${bead.fence}`
    const idWidth = Math.min(24, Math.floor(rest * 0.35))
    const title = Math.max(0, rest - idWidth - 2 - tail.length)
    return (
      name +
      style.green(`${signs.working} `) +
      again(column(bead.stage, STAGE_WIDTH, signs.cut)) +
      column(bead.bead_id, idWidth, signs.cut) +
      style.dim(` ${column(bead.title, title, signs.cut)} `) +
      (bead.attempt > 1 || bead.fence > 1 ? style.yellow(tail) : style.dim(tail))
    )
  }
  const text =
    lane.state === 'idle' ? idleText(model) : lane.state === 'done' ? 'has left: nothing is left to do' : ''
  return (
    name +
    style.dim(
      `${signs.idle} ${column(lane.state, STAGE_WIDTH, signs.cut)}${column(text, rest, signs.cut).trimEnd()}`,
    )
  )
}

/** What an idle agent waits for: the beads in progress that hold the others up. */
function idleText(model: Model): string {
  if (readyBeads(model).length > 0) return 'about to claim'
  const holding = new Set(waitingBeads(model).flatMap((bead) => [...bead.waitsFor]))
  const working = [...model.beads.values()].filter(
    (bead) => holding.has(bead.bead_id) && bead.agent !== undefined,
  )
  return working.length === 0 ? 'nothing left to claim' : `waits for ${working.map(withHolder).join(', ')}`
}

function waitingLines(model: Model, style: Style, width: number, most: number): string[] {
  const ready = readyBeads(model)
  const waiting = waitingBeads(model)
  if (most <= 0 || ready.length + waiting.length === 0) return []
  const ids = ready.map((bead) => bead.bead_id).join(', ') || 'none'
  const idWidth = 16
  const room = width - 10 - idWidth - 4
  const shown = waiting.slice(0, waiting.length > most - 1 ? most - 2 : most - 1)
  const lines = shown.map((bead, at) => {
    const others = [...bead.waitsFor].map((id) => holderOf(model, id)).join(', ')
    return (
      style.dim(column(at === 0 ? ' waiting' : '', 10, '')) +
      column(bead.bead_id, idWidth, style.signs.cut) +
      style.dim(` ${style.signs.back} ${column(others, room, style.signs.cut).trimEnd()}`)
    )
  })
  const hidden = waiting.length - shown.length
  return [
    style.dim(column(' ready', 10, '')) + column(ids, width - 11, style.signs.cut).trimEnd(),
    ...lines,
    ...(hidden > 0 && most > 1 ? [style.dim(`${' '.repeat(10)}and ${hidden} more`)] : []),
  ]
}

function holderOf(model: Model, id: string): string {
  const bead = model.beads.get(id)
  return bead ? withHolder(bead) : id
}

function withHolder(bead: BeadView): string {
  if (bead.agent !== undefined) return `${bead.bead_id} (agent ${bead.agent})`
  return bead.status === 'pending' ? bead.bead_id : `${bead.bead_id} (${bead.status})`
}

function newsLine(news: News, style: Style, width: number): string {
  const time = column(` ${seconds(news.atMs)}`, 10, '')
  return style.dim(time) + tint(news, style)(column(news.text, width - 11, style.signs.cut).trimEnd())
}

function tint({ tone }: News, style: Style): (text: string) => string {
  switch (tone) {
    case 'good':
      return style.green
    case 'bad':
      return style.yellow
    case 'alarm':
      return style.red
    case 'talk':
      return style.dim
    case 'plain':
      return (text) => text
  }
}

/** One piece of news as a line of its own, for output that is no terminal. */
export function plainLine(news: News, model: Model): string {
  const done = `${model.count.finished}/${model.total}`
  return `${seconds(news.atMs).padStart(7)}  ${done.padStart(7)}  ${printable(news.text)}`
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}
