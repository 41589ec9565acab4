import { useEffect, useRef } from 'react'
import { rpc } from './api.ts'
import { useAnswer } from './drawer.tsx'

const PIECES = 200
const SHOWN = 12_000

/** The end of what a session's program has said and done. */
export function Log({ session, version }: { readonly session: string; readonly version: string }) {
  const box = useRef<HTMLElement>(null)
  const { answer, problem } = useAnswer<{ logs: { text: string }[] }>(
    () => rpc({ cmd: 'logs', session_id: session, latest: true, limit: PIECES }),
    session,
    version,
  )
  const text = answer?.logs.map((one) => one.text).join('') ?? ''
  // biome-ignore lint/correctness/useExhaustiveDependencies: new text is at the end
  useEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight
  }, [text])
  if (problem !== undefined) return <p className="problem">{problem}</p>
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
    <section ref={box} className="text log" tabIndex={0} aria-label={`log of ${session}`}>
      {answer === undefined ? 'reading…' : text === '' ? 'nothing yet' : text.slice(-SHOWN)}
    </section>
  )
}
