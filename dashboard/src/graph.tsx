import { useEffect, useMemo, useRef, useState } from 'react'
import { type GraphAnswer, get } from './api.ts'
import { Canvas } from './canvas.tsx'
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
        <span className="dim">
          {bead === '' ? '' : `of ${bead}: `}
          {plan.beads.length.toLocaleString('en')} beads, {plan.edges.length.toLocaleString('en')} links
          {answer?.more ? ', and more' : ''}
        </span>
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
          const { scale, x, y } = view.current
          const at = plan.beads.findIndex((_bead, index) => {
            const [left, top] = [(plan.x[index] ?? 0) * scale + x, (plan.y[index] ?? 0) * scale + y]
            return (
              px >= left && px <= left + NODE_WIDTH * scale && py >= top && py <= top + NODE_HEIGHT * scale
            )
          })
          const found = plan.beads[at]
          if (found) open(found.bead_id)
        }}
        draw={(context, width, height) => {
          const { current } = view
          if (current.fitted !== plan.of) {
            current.scale = Math.max(
              0.55,
              Math.min(1, width / (plan.width + 20), height / (plan.height + 40)),
            )
            current.x = 12
            current.y = height / 2
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

interface View {
  readonly scale: number
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  readonly chosen: string
}

type Plan = ReturnType<typeof layout> & { readonly beads: GraphAnswer['beads'] }

function draw(context: CanvasRenderingContext2D, plan: Plan, view: View): void {
  const { scale, width, height } = view
  const left = (at: number) => (plan.x[at] ?? 0) * scale + view.x
  const top = (at: number) => (plan.y[at] ?? 0) * scale + view.y
  context.fillStyle = colourOf('panel')
  context.fillRect(0, 0, width, height)
  context.strokeStyle = colourOf('waiting')
  context.lineWidth = Math.max(0.5, scale)
  context.beginPath()
  for (const [from, to] of plan.edges) {
    const [x0, y0] = [left(from) + NODE_WIDTH * scale, top(from) + (NODE_HEIGHT / 2) * scale]
    const [x1, y1] = [left(to), top(to) + (NODE_HEIGHT / 2) * scale]
    if (x1 < 0 || x0 > width || Math.max(y0, y1) < 0 || Math.min(y0, y1) > height) continue
    const middle = (x0 + x1) / 2
    context.moveTo(x0, y0)
    context.bezierCurveTo(middle, y0, middle, y1, x1, y1)
  }
  context.stroke()
  context.font = `${Math.max(8, 11 * scale)}px "Inter Variable", sans-serif`
  context.textBaseline = 'middle'
  for (const [at, bead] of plan.beads.entries()) {
    const [x, y] = [left(at), top(at)]
    if (x > width || x + NODE_WIDTH * scale < 0 || y > height || y + NODE_HEIGHT * scale < 0) continue
    // the store is fresher than the graph, which is read seldom
    const known = state.beads.get(bead.bead_id) ?? bead
    const group = groupOf(known.status, known.open_blockers)
    context.fillStyle = colourOf(group)
    context.globalAlpha = group === 'done' ? 0.6 : 1
    context.fillRect(x, y, NODE_WIDTH * scale, NODE_HEIGHT * scale)
    context.globalAlpha = 1
    if (bead.bead_id === view.chosen) {
      context.strokeStyle = colourOf('text')
      context.lineWidth = 2
      context.strokeRect(x - 1, y - 1, NODE_WIDTH * scale + 2, NODE_HEIGHT * scale + 2)
    }
    if (scale < 0.5) continue
    context.fillStyle = group === 'waiting' || group === 'done' ? colourOf('text') : colourOf('ink')
    context.fillText(bead.bead_id, x + 6 * scale, y + (NODE_HEIGHT / 2) * scale, (NODE_WIDTH - 12) * scale)
  }
}
