import type { Need, Overview } from '../../contract/run-rows.ts'
import { cut, displayWidth, oneLine, pad } from '../../terminal/width.ts'

export interface PictureOptions {
  readonly width: number
  /** Lines at most; what does not fit is counted. */
  readonly height: number
  readonly colour: boolean
}

/** A piece of a line, and how it is painted. */
type Paint = (text: string) => string
interface Paints {
  readonly strong: Paint
  readonly dim: Paint
  readonly level: Readonly<Record<'good' | 'warning' | 'bad', Paint>>
}

const BAR = 40
const MOST_NEEDS = 8

/** How a run stands as the lines of a terminal, none wider than it and not more than it has: the verdict, what waits for a person, who works. */
export function overviewLines(overview: Overview, options: PictureOptions): string[] {
  const paints = paintsFor(options.colour)
  const { width, height } = options
  const needs = needLines(overview, width, paints)
  const top = [...headLines(overview, width, paints), ...(needs.length > 0 ? ['', ...needs] : [])]
  const below = belowLines(overview, width, paints)
  const lanes = laneLines(overview, width, paints)
  const room = Math.max(1, height - top.length - below.length - 3)
  const shown =
    lanes.length > room
      ? [...lanes.slice(0, room - 1), paints.dim(`  … and ${lanes.length - room + 1} more`)]
      : lanes
  return [
    ...top,
    ...(shown.length > 0 ? ['', ...shown] : []),
    ...(below.length > 0 ? ['', ...below] : []),
  ].slice(0, height)
}

function headLines(
  { verdict, run, beads, ready, agents, as_of }: Overview,
  width: number,
  paints: Paints,
): string[] {
  const counts = [
    `${ready} ready`,
    `${beads.in_progress ?? 0} in progress`,
    `${beads.blocked ?? 0} blocked`,
    `${beads.completed ?? 0} done`,
    `agents ${agents.busy} busy of ${agents.total}`,
  ].join(' · ')
  const time = as_of.slice(11, 19)
  const said = ` ● ${oneLine(verdict.text)}`
  const title = cut(run ? `${said}  ${run.run_id} ${run.status}` : said, width - 10)
  return [
    paints.level[verdict.level](title) + paints.dim(pad(time, width - displayWidth(title) - 1, 'left')),
    ...(run ? [progressLine(run, beads, width, paints)] : []),
    cut(` ${counts}`, width),
  ]
}

function progressLine(
  run: NonNullable<Overview['run']>,
  beads: Overview['beads'],
  width: number,
  paints: Paints,
): string {
  const all = Object.values(beads).reduce((sum, count) => sum + count, 0)
  const target = run.target ?? all
  const bar = Math.max(10, Math.min(BAR, width - 40))
  const full = target === 0 ? 0 : Math.round((bar * Math.min(run.landed, target)) / target)
  const end =
    run.ended_at === undefined && run.estimated_completion
      ? `, done about ${run.estimated_completion.slice(11, 16)} UTC`
      : ''
  const text = cut(`  ${run.landed} of ${target} landed${end}`, width - bar - 1)
  return ` ${paints.level.good('━'.repeat(full))}${paints.dim('─'.repeat(bar - full))}${text}`
}

function needLines({ needs_you, as_of }: Overview, width: number, paints: Paints): string[] {
  const lines = needs_you.slice(0, MOST_NEEDS).map((need) => {
    const age = need.since === undefined ? '' : ` ${span(Date.parse(as_of) - Date.parse(need.since))}`
    return paints.level[need.level](cut(` ! ${oneLine(need.title)}${evidenceOf(need)}${age}`, width))
  })
  const rest = needs_you.length - lines.length
  return rest > 0 ? [...lines, paints.dim(`   … and ${rest} more: swarm ps`)] : lines
}

function evidenceOf({ evidence }: Need): string {
  return evidence ? `: ${oneLine(evidence)}` : ''
}

/** A line for each session: who, what, for how long, and how long it has been quiet. */
function laneLines({ sessions, as_of }: Overview, width: number, paints: Paints): string[] {
  const now = Date.parse(as_of)
  return sessions.map((session) => {
    const {
      agent_id,
      role = '',
      status,
      stage,
      bead_id,
      attempt,
      started_at,
      quiet_ms,
      open_tool,
      cost_usd,
    } = session
    // a narrow window has the number of the agent only
    const whoWidth = width < 50 ? 5 : 18
    const who = pad(cut(width < 50 ? ` ${agent_id}` : ` ${agent_id} ${role}`, whoWidth), whoWidth, 'right')
    const again = attempt > 1 ? ` #${attempt}` : ''
    const whatWidth = Math.min(14, Math.max(1, width - whoWidth))
    const what = pad(cut(`${stage}${again}`, whatWidth - 1), whatWidth, 'right')
    const notes = [
      status === 'running' ? '' : status,
      started_at === undefined ? '' : span(now - Date.parse(started_at)),
      quiet_ms !== undefined && quiet_ms >= 60_000 ? `quiet ${span(quiet_ms)}` : '',
      cost_usd ? `$${cost_usd.toFixed(2)}` : '',
      open_tool ? oneLine(open_tool) : '',
    ].filter((note) => note !== '')
    const rest = width - whoWidth - whatWidth
    const beadWidth = Math.max(0, Math.min(24, rest))
    const left = rest - beadWidth
    const bead = beadWidth < 2 ? '' : pad(cut(oneLine(bead_id), beadWidth), beadWidth, 'right')
    return `${who}${paints.strong(what)}${bead}${left < 3 ? '' : paints.dim(cut(` ${notes.join(' · ')}`, left))}`
  })
}

function belowLines(
  { train, quotas, spent, hosts, leader }: Overview,
  width: number,
  paints: Paints,
): string[] {
  const cars = train.map(({ bead_id, status }) => `${oneLine(bead_id)} (${status})`).join(' ← ')
  const accounts = quotas.map(({ account, kind, used_percent, until }) => {
    const used = used_percent === undefined ? '' : ` ${Math.round(used_percent)}%`
    return `${oneLine(account)} ${oneLine(kind)}${used}${until ? ` until ${until.slice(11, 16)} UTC` : ''}`
  })
  const money =
    spent.usd > 0 || spent.tokens > 0
      ? `$${spent.usd.toFixed(2)} · ${spent.tokens.toLocaleString('en')} tokens`
      : ''
  const machines = hosts
    .map(({ name, draining }) => `${oneLine(name)}${draining ? ' (draining)' : ''}`)
    .join(', ')
  const rows: readonly (readonly [string, string])[] = [
    ['train', cars],
    ['quota', accounts.join(', ')],
    ['spent', money],
    ['hosts', machines],
    ['leader', leader ? `term ${leader.term}` : ''],
  ]
  return rows
    .filter(([, text]) => text !== '')
    .map(([name, text]) => paints.dim(` ${name.padEnd(7)}`) + cut(text, width - 9))
}

/** A duration in the largest unit that says it. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`
}

function paintsFor(colour: boolean): Paints {
  const paint = (code: number, off: number): Paint =>
    colour ? (text) => `\x1b[${code}m${text}\x1b[${off}m` : (text) => text
  return {
    strong: paint(36, 39),
    dim: paint(2, 22),
    level: { good: paint(32, 39), warning: paint(33, 39), bad: paint(31, 39) },
  }
}
