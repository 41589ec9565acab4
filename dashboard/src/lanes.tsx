import { useMemo } from 'react'
import type { Agent, Attempt } from './api.ts'
import { Canvas, cut } from './canvas.tsx'
import { colourOf, colours } from './colours.ts'
import { state, useTopic } from './store.ts'
import { serverNow, span } from './time.tsx'
import { choose, useChosen } from './url-state.ts'

const LEFT = 96
const RIGHT = 170
const AXIS = 20
const LOWEST_ROW = 14
const HIGHEST_ROW = 28
/** From here on silence is seen; in ms. */
const SEEN_MS = 20_000
/** From here on it is told in words; in ms. */
const QUIET_MS = 120_000

/** The third second: a row for each agent with what it did. The colour is the stage, a failure a tick at its end. */
export function Lanes({ open }: { readonly open: (agent: string) => void }) {
  const agentsRevision = useTopic('agents')
  const attemptsRevision = useTopic('attempts')
  const { minutes, theme } = useChosen()
  // biome-ignore lint/correctness/useExhaustiveDependencies: the store changes with its revisions
  const rows = useMemo(() => rowsOf(state.agents, state.attempts), [agentsRevision, attemptsRevision])
  const spanMs = Number(minutes) * 60_000 || 600_000
  const height = (box: number) =>
    Math.max(LOWEST_ROW, Math.min(HIGHEST_ROW, (box - AXIS) / Math.max(1, rows.length)))
  let drawnHeight = 0
  return (
    <section className="panel lanes" aria-label="agents">
      <h2>
        Agents
        <span className="chips">
          {['10', '60'].map((value) => (
            <button
              key={value}
              type="button"
              aria-pressed={minutes === value}
              onClick={() => choose({ minutes: value })}
            >
              {value} min
            </button>
          ))}
        </span>
        <Legend rows={rows} />
      </h2>
      {rows.length === 0 ? (
        <p className="empty">
          No agent has come yet. <code>swarm up --agents implementer=4,reviewer=2</code> brings some.
        </p>
      ) : (
        <div className="scroll">
          <div className="lanes-box" style={{ minHeight: rows.length * LOWEST_ROW + AXIS }}>
            <Canvas
              label={`what ${rows.length} agents did in the last ${minutes} minutes`}
              every={1_000}
              revision={`${agentsRevision} ${attemptsRevision} ${minutes} ${theme}`}
              pick={(_x, y) => {
                const row = rows[Math.floor((y - AXIS) / height(drawnHeight))]
                if (row) open(String(row.agent.agent_id))
              }}
              draw={(context, width, box) => {
                drawnHeight = box
                draw(context, rows, { width, box, row: height(box), spanMs, now: knownUntil() })
              }}
            />
          </div>
        </div>
      )}
      <ul className="sr">
        {rows.map(({ agent }) => (
          <li key={agent.agent_id}>
            <button type="button" onClick={() => open(String(agent.agent_id))}>
              agent {agent.agent_id}: {agent.status} {agent.bead_id ?? ''} {agent.stage ?? ''}
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}

interface Row {
  readonly agent: Agent
  readonly attempts: readonly Attempt[]
}

/** Agents that hold something or have done something; those who never came are left out. */
function rowsOf(agents: readonly Agent[], attempts: readonly Attempt[]): readonly Row[] {
  const byAgent = new Map<number, Attempt[]>()
  for (const attempt of attempts) {
    const own = byAgent.get(attempt.agent_id) ?? []
    own.push(attempt)
    byAgent.set(attempt.agent_id, own)
  }
  return agents
    .filter(({ agent_id, status }) => status !== 'absent' || byAgent.has(agent_id))
    .map((agent) => ({ agent, attempts: byAgent.get(agent.agent_id) ?? [] }))
}

function Legend({ rows }: { readonly rows: readonly Row[] }) {
  const stages = new Set(rows.flatMap(({ attempts }) => attempts.slice(0, 50).map(({ stage }) => stage)))
  return (
    <ul className="legend">
      {[...stages].sort().map((stage) => (
        <li key={stage}>
          <i className={`swatch stage-${stage}`} aria-hidden="true" />
          {stage}
        </li>
      ))}
    </ul>
  )
}

interface Frame {
  readonly width: number
  readonly box: number
  readonly row: number
  readonly spanMs: number
  readonly now: number
}

function draw(context: CanvasRenderingContext2D, rows: readonly Row[], frame: Frame): void {
  const { width, box, row, spanMs, now } = frame
  const inner = Math.max(1, width - LEFT - RIGHT)
  const x = (time: number) => LEFT + inner * (1 - (now - time) / spanMs)
  context.fillStyle = colourOf('panel')
  context.fillRect(0, 0, width, box)
  drawAxis(context, frame, inner)
  context.font = `${Math.min(12, row - 2)}px "Inter Variable", sans-serif`
  context.textBaseline = 'middle'
  for (const [at, one] of rows.entries()) {
    const y = AXIS + at * row
    const { agent, attempts } = one
    const silentMs = silenceOf(agent, now)
    const quiet = silentMs > QUIET_MS
    context.fillStyle = quiet ? colourOf('blocked') : colourOf('dim')
    context.fillText(cut(context, nameOf(agent), LEFT - 14), 10, y + row / 2)
    for (const attempt of attempts) drawAttempt(context, attempt, { x, y, row, now, silentMs })
    context.fillStyle = quiet
      ? colourOf('blocked')
      : agent.bead_id === undefined
        ? colourOf('dim')
        : colourOf('text')
    context.fillText(cut(context, whatOf(agent, silentMs), RIGHT - 14, true), width - RIGHT + 8, y + row / 2)
  }
}

function drawAxis(context: CanvasRenderingContext2D, { width, box, spanMs }: Frame, inner: number): void {
  const steps = inner > 300 ? 5 : 2
  context.font = '10px "Inter Variable", sans-serif'
  context.textBaseline = 'middle'
  for (let step = 0; step <= steps; step++) {
    const x = LEFT + (inner * step) / steps
    context.fillStyle = colourOf('line')
    context.fillRect(Math.round(x), AXIS - 4, 1, box)
    const text = step === steps ? 'now' : `−${span(spanMs * (1 - step / steps))}`
    context.fillStyle = colourOf('dim')
    context.textAlign = step === 0 ? 'left' : step === steps ? 'right' : 'center'
    context.fillText(text, Math.min(x, width - RIGHT), 8)
  }
  context.textAlign = 'left'
}

/** What lands is done by swarm itself. */
function nameOf({ agent_id, name, role }: Agent): string {
  return role === 'swarm' ? 'swarm' : (name ?? `agent ${agent_id}`)
}

function sessionOf(agent: number) {
  return state.overview?.sessions.find(({ agent_id }) => agent_id === agent)
}

/** What an agent is at, in a few words. */
function whatOf({ agent_id, bead_id, stage, status }: Agent, silentMs: number): string {
  if (bead_id === undefined) return status
  const what = `${bead_id} ${stage ?? ''}`
  if (sessionOf(agent_id)?.status === 'asking') return `asks, ${what}`
  return silentMs > QUIET_MS ? `silent ${span(silentMs)}, ${what}` : what
}

/** Up to when something is known: what has come about while nothing is heard is not drawn. In Unix milliseconds. */
function knownUntil(): number {
  const { connection, overview } = state
  return connection === 'live' || !overview ? serverNow() : Date.parse(overview.as_of)
}

/** How long an agent that holds something has given no sign of life, in ms: by its session where it has one. */
function silenceOf({ agent_id, bead_id, last_update }: Agent, now: number): number {
  if (bead_id === undefined) return 0
  const { overview } = state
  const session = sessionOf(agent_id)
  // who asks waits for a person, and that is told
  if (session?.status === 'asking') return 0
  if (session?.quiet_ms === undefined || !overview) return now - Date.parse(last_update)
  // a tool that runs is no silence
  if (session.open_tool !== undefined) return 0
  return session.quiet_ms + now - Date.parse(overview.as_of)
}

interface Bar {
  readonly x: (time: number) => number
  readonly y: number
  readonly row: number
  readonly now: number
  readonly silentMs: number
}

/** A bar in the colour of its stage; where its agent is silent, a thin line; a tick at the end of one that failed. */
function drawAttempt(
  context: CanvasRenderingContext2D,
  { stage, status, started_at, duration_ms }: Attempt,
  { x, y, row, now, silentMs }: Bar,
): void {
  const from = Date.parse(started_at)
  const runs = status === 'started'
  const until = runs ? now : from + duration_ms
  const left = Math.max(LEFT, x(from))
  const right = x(until)
  if (right <= LEFT) return
  const heard = runs && silentMs > SEEN_MS ? Math.max(left, x(now - silentMs)) : right
  context.fillStyle = colours[stage] ?? colourOf('other')
  context.globalAlpha = runs ? 1 : 0.6
  context.fillRect(left, y + 3, Math.max(1.5, heard - left - 1), row - 6)
  if (heard < right) context.fillRect(heard, y + row / 2 - 1, right - heard, 2)
  context.globalAlpha = 1
  if (status !== 'failed' && status !== 'error') return
  context.fillStyle = colourOf('fail')
  context.fillRect(right - 3, y + 1, 3, row - 2)
}
