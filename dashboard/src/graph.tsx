import { useEffect, useMemo, useRef, useState } from 'react'
import { type GraphAnswer, get } from './api.ts'
import { Canvas, cut } from './canvas.tsx'
import { colourOf } from './colours.ts'
import { layout, NODE_HEIGHT, NODE_WIDTH } from './layout.ts'
import { groupOf } from './status.tsx'
import { state, useTopic } from './store.ts'
import { useChosen } from './url-state.ts'

/** Read again when beads have changed, at most so often; in ms. */
const REREAD_MS = 3_000
const SMALLEST = 0.08
const LARGEST = 2

/** What waits for what among the unfinished; of a chosen bead, only what is connected with it. */
export function Graph({ open }: { readonly open: (bead: string) => void }) {
  const { bead, theme } = useChosen()
  const revision = useTopic('beads')
  const answer = useGraph(bead)
  const plan = useMemo(
    () =>
      answer && {
        ...layout(
          answer.beads.map(({ bead_id }) => bead_id),
          answer.links,
        ),
        beads: answer.beads,
        of: answer.of,
        critical: new Map(answer.critical_path.map((id, at) => [id, at])),
      },
    [answer],
  )
  const view = useRef({ scale: 1, x: 0, y: 0, fitted: undefined as string | undefined })
  if (!plan || plan.beads.length === 0)
    return (
      <section className="panel graph" aria-label="dependencies">
        <h2>Dependencies</h2>
        <p className="empty">{plan ? 'Nothing is unfinished.' : 'reading…'}</p>
      </section>
    )
  return (
    <section className="panel graph" aria-label="dependencies">
      <h2>
        Dependencies
        <span className="dim cut">
          {bead === '' ? '' : `of ${bead.length > 40 ? `${bead.slice(0, 39)}…` : bead}: `}
          {plan.beads.length.toLocaleString('en')} beads, {plan.edges.length.toLocaleString('en')} links
          {answer?.more ? ', and more' : ''}
        </span>
        {plan.critical.size > 1 && (
          <span className="critical">
            <i aria-hidden="true" />
            critical path {plan.critical.size}
          </span>
        )}
      </h2>
      <Canvas
        label={`${plan.beads.length} beads and what waits for what; the table has the same beads`}
        revision={`${revision} ${theme} ${bead} ${plan.beads.length}`}
        wheel={(event) => {
          const { current } = view
          const scale = Math.min(LARGEST, Math.max(SMALLEST, current.scale * Math.exp(-event.deltaY * 0.001)))
          current.x = event.offsetX - (event.offsetX - current.x) * (scale / current.scale)
          current.y = event.offsetY - (event.offsetY - current.y) * (scale / current.scale)
          current.scale = scale
        }}
        drag={(dx, dy) => {
          view.current.x += dx
          view.current.y += dy
        }}
        pick={(px, py) => {
          const found = beadAt(plan, view.current, px, py)
          if (found) open(found.bead_id)
        }}
        hint={(px, py) => {
          const found = beadAt(plan, view.current, px, py)
          return found ? `${found.bead_id}: ${found.title}` : ''
        }}
        draw={(context, width, height) => {
          const { current } = view
          if (current.fitted !== plan.of) {
            current.scale = Math.max(
              0.55,
              Math.min(1, width / (plan.width + 20), height / (plan.height + 40)),
            )
            const about = plan.beads.flatMap(({ bead_id }, at) =>
              (bead === '' ? plan.critical.has(bead_id) : bead_id === bead) ? [at] : [],
            )
            const heights = about.map((at) => plan.y[at] ?? 0).sort((a, b) => a - b)
            const y = heights[heights.length >> 1] ?? 0
            const x = bead === '' ? 0 : (plan.x[about[0] ?? -1] ?? 0)
            // what it is about is seen, with what comes before it to the left
            current.x = Math.min(12, width * 0.4 - x * current.scale)
            current.y = height / 2 - (y + NODE_HEIGHT / 2) * current.scale
            current.fitted = plan.of
          }
          draw(context, plan, { ...current, width, height, chosen: bead })
        }}
      />
    </section>
  )
}

/** The graph of all, or around one bead; read again while beads change. */
function useGraph(bead: string): (GraphAnswer & { readonly of: string }) | undefined {
  const [answer, setAnswer] = useState<GraphAnswer & { readonly of: string }>()
  const revision = useTopic('beads')
  const last = useRef(0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is read again when beads have changed
  useEffect(() => {
    let over = false
    const wait = Math.max(0, last.current + REREAD_MS - Date.now())
    const timer = setTimeout(async () => {
      last.current = Date.now()
      try {
        const fresh = await get<GraphAnswer>('/api/graph', bead === '' ? {} : { bead })
        if (!over) setAnswer({ ...fresh, of: bead })
      } catch {
        // the header says that the server is away, and the beads are read again when it is back
      }
    }, wait)
    return () => {
      over = true
      clearTimeout(timer)
    }
  }, [bead, revision])
  return answer
}

function beadAt(plan: Plan, { scale, x, y }: Pick<View, 'scale' | 'x' | 'y'>, px: number, py: number) {
  const at = plan.beads.findIndex((_bead, index) => {
    const [left, top] = [(plan.x[index] ?? 0) * scale + x, (plan.y[index] ?? 0) * scale + y]
    return px >= left && px <= left + NODE_WIDTH * scale && py >= top && py <= top + NODE_HEIGHT * scale
  })
  return plan.beads[at]
}

interface View {
  readonly scale: number
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  readonly chosen: string
}

type Plan = ReturnType<typeof layout> & {
  readonly beads: GraphAnswer['beads']
  /** Where a bead stands on the critical path, from 0. */
  readonly critical: ReadonlyMap<string, number>
}

function draw(context: CanvasRenderingContext2D, plan: Plan, view: View): void {
  context.fillStyle = colourOf('panel')
  context.fillRect(0, 0, view.width, view.height)
  drawLinks(context, plan, view)
  context.font = `${Math.max(8, 11 * view.scale)}px "Inter Variable", sans-serif`
  context.textBaseline = 'middle'
  for (const at of plan.beads.keys()) drawBead(context, plan, view, at)
}

function drawLinks(context: CanvasRenderingContext2D, plan: Plan, view: View): void {
  const { scale, width, height } = view
  const left = (at: number) => (plan.x[at] ?? 0) * scale + view.x
  const top = (at: number) => (plan.y[at] ?? 0) * scale + view.y
  const place = (at: number) => plan.critical.get(plan.beads[at]?.bead_id ?? '')
  const line = (from: number, to: number) => {
    const [x0, y0] = [left(from) + NODE_WIDTH * scale, top(from) + (NODE_HEIGHT / 2) * scale]
    const [x1, y1] = [left(to), top(to) + (NODE_HEIGHT / 2) * scale]
    if (x1 < 0 || x0 > width || Math.max(y0, y1) < 0 || Math.min(y0, y1) > height) return
    const middle = (x0 + x1) / 2
    context.moveTo(x0, y0)
    context.bezierCurveTo(middle, y0, middle, y1, x1, y1)
  }
  const isCritical = ([from, to]: readonly [number, number]) => {
    const [a, b] = [place(from), place(to)]
    return a !== undefined && b === a + 1
  }
  context.strokeStyle = colourOf('waiting')
  context.lineWidth = Math.max(0.5, scale)
  context.beginPath()
  for (const edge of plan.edges) if (!isCritical(edge)) line(...edge)
  context.stroke()
  context.strokeStyle = colourOf('critical')
  context.lineWidth = Math.max(1.5, 2.5 * scale)
  context.beginPath()
  for (const edge of plan.edges) if (isCritical(edge)) line(...edge)
  context.stroke()
}

function drawBead(context: CanvasRenderingContext2D, plan: Plan, view: View, at: number): void {
  const { scale, width, height } = view
  const bead = plan.beads[at]
  if (!bead) return
  const [x, y] = [(plan.x[at] ?? 0) * scale + view.x, (plan.y[at] ?? 0) * scale + view.y]
  const [w, h] = [NODE_WIDTH * scale, NODE_HEIGHT * scale]
  if (x > width || x + w < 0 || y > height || y + h < 0) return
  // the store is fresher than the graph, which is read seldom
  const known = state.beads.get(bead.bead_id) ?? bead
  const group = groupOf(known.status, known.open_blockers)
  context.fillStyle = colourOf(group)
  context.globalAlpha = group === 'done' ? 0.6 : 1
  context.beginPath()
  context.roundRect(x, y, w, h, 4 * scale)
  context.fill()
  context.globalAlpha = 1
  const isChosen = bead.bead_id === view.chosen
  if (isChosen || (plan.critical.size > 1 && plan.critical.has(bead.bead_id))) {
    context.strokeStyle = colourOf(isChosen ? 'text' : 'critical')
    context.lineWidth = isChosen ? 3 : 2
    context.beginPath()
    context.roundRect(x - 1, y - 1, w + 2, h + 2, 5 * scale)
    context.stroke()
  }
  if (scale < 0.5) return
  context.fillStyle = group === 'waiting' || group === 'done' ? colourOf('text') : colourOf('ink')
  context.fillText(cut(context, bead.bead_id, w - 12 * scale, true), x + 6 * scale, y + h / 2)
}
