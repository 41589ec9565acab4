import { useMemo } from 'react'
import type { Agent, Attempt } from './api.ts'
import { Canvas } from './canvas.tsx'
import { colourOf, colours } from './colours.ts'
import { state, useTopic } from './store.ts'
import { span } from './time.tsx'
import { choose, useChosen } from './url-state.ts'

const LEFT = 96
const RIGHT = 170
const LOWEST_ROW = 14
const HIGHEST_ROW = 26
const QUIET_MS = 120_000

/** The third second: a row for each agent with what it did. The colour is the stage, a failure a tick at its end. */
export function Lanes({ open }: { readonly open: (agent: string) => void }) {
  const agentsRevision = useTopic('agents')
  const attemptsRevision = useTopic('attempts')
  const { minutes, theme } = useChosen()
  // biome-ignore lint/correctness/useExhaustiveDependencies: the store changes with its revisions
  const rows = useMemo(() => rowsOf(state.agents, state.attempts), [agentsRevision, attemptsRevision])
  const spanMs = Number(minutes) * 60_000 || 600_000
  const height = (box: number) => Math.max(LOWEST_ROW, Math.min(HIGHEST_ROW, box / Math.max(1, rows.length)))
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
        <p className="empty">No agent has come yet. `swarm up`, or `swarm register`, brings them.</p>
      ) : (
        <div className="scroll">
          <div className="lanes-box" style={{ minHeight: rows.length * LOWEST_ROW }}>
            <Canvas
              label={`what ${rows.length} agents did in the last ${minutes} minutes`}
              every={1_000}
              revision={`${agentsRevision} ${attemptsRevision} ${minutes} ${theme}`}
              pick={(_x, y) => {
                const row = rows[Math.floor(y / height(drawnHeight))]
                if (row) open(String(row.agent.agent_id))
              }}
              draw={(context, width, box) => {
                drawnHeight = box
                draw(context, rows, { width, box, row: height(box), spanMs, now: Date.now() })
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
  context.fillStyle = colourOf('line')
  for (let step = 0; step <= 5; step++) context.fillRect(LEFT + (inner * step) / 5, 0, 1, box)
  context.font = `${Math.min(12, row - 2)}px "Inter Variable", sans-serif`
  context.textBaseline = 'middle'
  for (const [at, { agent, attempts }] of rows.entries()) {
    const y = at * row
    const quiet = agent.bead_id !== undefined && now - Date.parse(agent.last_update) > QUIET_MS
    context.fillStyle = quiet ? colourOf('blocked') : colourOf('dim')
    context.fillText(agent.name ?? `agent ${agent.agent_id}`, 8, y + row / 2, LEFT - 12)
    for (const attempt of attempts) drawAttempt(context, attempt, { x, y, row, now })
    const what = agent.bead_id === undefined ? agent.status : `${agent.bead_id} · ${agent.stage ?? ''}`
    const silence = quiet ? ` · silent ${span(now - Date.parse(agent.last_update))}` : ''
    context.fillStyle = agent.bead_id === undefined ? colourOf('dim') : colourOf('text')
    context.fillText(what + silence, width - RIGHT + 8, y + row / 2, RIGHT - 12)
  }
}

function drawAttempt(
  context: CanvasRenderingContext2D,
  { stage, status, started_at, duration_ms }: Attempt,
  { x, y, row, now }: { x: (time: number) => number; y: number; row: number; now: number },
): void {
  const from = Date.parse(started_at)
  const until = status === 'started' ? now : from + duration_ms
  const left = Math.max(LEFT, x(from))
  const right = x(until)
  if (right <= LEFT) return
  context.fillStyle = colours[stage] ?? colourOf('other')
  context.globalAlpha = status === 'started' ? 1 : 0.6
  context.fillRect(left, y + 2, Math.max(1.5, right - left - 1), row - 4)
  context.globalAlpha = 1
  if (status !== 'failed' && status !== 'error') return
  context.fillStyle = colourOf('fail')
  context.fillRect(right - 3, y + 1, 3, row - 2)
}
