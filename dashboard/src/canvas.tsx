import { useEffect, useRef } from 'react'

export interface Drawing {
  /** Width and height in CSS pixels. */
  draw(context: CanvasRenderingContext2D, width: number, height: number): void
  readonly label: string
  pick?(x: number, y: number): void
  /** What is said of a place while the pointer is over it. */
  hint?(x: number, y: number): string
  wheel?(event: WheelEvent): void
  drag?(dx: number, dy: number): void
  /** Drawn again when it differs. */
  readonly revision: unknown
  /** Drawn again so often, in ms; not at all by itself when absent. */
  readonly every?: number
}

/** A canvas that is drawn once a frame at most, outside of React's rendering. */
export function Canvas(drawing: Drawing) {
  const element = useRef<HTMLCanvasElement>(null)
  const latest = useRef(drawing)
  const repaint = useRef(() => {})
  latest.current = drawing

  useEffect(() => {
    const canvas = element.current
    const context = canvas?.getContext('2d', { alpha: false })
    if (!canvas || !context) return
    let width = 0
    let height = 0
    let frame = 0
    const paint = () => {
      frame = 0
      if (width === 0 || height === 0) return
      context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0)
      latest.current.draw(context, width, height)
    }
    repaint.current = () => {
      if (frame === 0) frame = requestAnimationFrame(paint)
    }
    const observer = new ResizeObserver(() => {
      const box = canvas.getBoundingClientRect()
      width = box.width
      height = box.height
      canvas.width = Math.round(width * devicePixelRatio)
      canvas.height = Math.round(height * devicePixelRatio)
      paint()
    })
    observer.observe(canvas)
    const { every } = latest.current
    const timer = every === undefined ? undefined : setInterval(() => repaint.current(), every)

    let from: readonly [number, number] | undefined
    let moved = 0
    const wheel = (event: WheelEvent) => {
      if (!latest.current.wheel) return
      event.preventDefault()
      latest.current.wheel(event)
      repaint.current()
    }
    const down = (event: PointerEvent) => {
      from = [event.clientX, event.clientY]
      moved = 0
      canvas.setPointerCapture(event.pointerId)
    }
    const move = (event: PointerEvent) => {
      if (!from && latest.current.hint) {
        const box = canvas.getBoundingClientRect()
        const hint = latest.current.hint(event.clientX - box.left, event.clientY - box.top)
        if (canvas.title !== hint) canvas.title = hint
      }
      if (!from || !latest.current.drag) return
      const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]]
      moved += Math.abs(dx) + Math.abs(dy)
      from = [event.clientX, event.clientY]
      latest.current.drag(dx, dy)
      repaint.current()
    }
    const up = (event: PointerEvent) => {
      if (from && moved < 4) {
        const box = canvas.getBoundingClientRect()
        latest.current.pick?.(event.clientX - box.left, event.clientY - box.top)
      }
      from = undefined
    }
    canvas.addEventListener('wheel', wheel, { passive: false })
    canvas.addEventListener('pointerdown', down)
    canvas.addEventListener('pointermove', move)
    canvas.addEventListener('pointerup', up)
    return () => {
      observer.disconnect()
      clearInterval(timer)
      cancelAnimationFrame(frame)
      canvas.removeEventListener('wheel', wheel)
      canvas.removeEventListener('pointerdown', down)
      canvas.removeEventListener('pointermove', move)
      canvas.removeEventListener('pointerup', up)
    }
  }, [])

  // biome-ignore lint/correctness/useExhaustiveDependencies: the revision is what says that it must be drawn again
  useEffect(() => repaint.current(), [drawing.revision])
  return <canvas ref={element} className="canvas" role="img" aria-label={drawing.label} />
}

/**
 * As much of a text as fits into so many pixels, with an ellipsis where something is left out: at the end, or with `middle` before the end,
 * by which ids differ.
 */
export function cut(context: CanvasRenderingContext2D, text: string, width: number, middle = false): string {
  if (context.measureText(text).width <= width) return text
  const shortened = (kept: number) => {
    const tail = middle ? Math.ceil(kept * 0.6) : 0
    return `${text.slice(0, kept - tail)}…${tail === 0 ? '' : text.slice(-tail)}`
  }
  let [fits, not] = [0, text.length]
  while (not - fits > 1) {
    const half = (fits + not) >> 1
    if (context.measureText(shortened(half)).width <= width) fits = half
    else not = half
  }
  return fits === 0 ? '' : shortened(fits)
}
