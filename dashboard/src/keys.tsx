import { useEffect, useRef } from 'react'
import { choose } from './url-state.ts'

const KEYS: readonly (readonly [string, string])[] = [
  ['/', 'find beads'],
  ['t', 'table'],
  ['b', 'board'],
  ['f', 'failures only, in the events'],
  ['Escape', 'close what is open'],
  ['?', 'this list'],
]

/** What keys do, outside of fields; `?` lists them. */
export function Keys() {
  const box = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return
      const inField = event.target instanceof Element && event.target.matches('input, select, textarea')
      if (event.key === 'Escape' && !document.querySelector('dialog.act[open]'))
        choose({ bead: '', agent: '' })
      if (inField) return
      if (event.key === '/') {
        event.preventDefault()
        document.getElementById('search')?.focus()
      } else if (event.key === 't') choose({ tab: 'table' })
      else if (event.key === 'b') choose({ tab: 'board' })
      else if (event.key === 'f')
        choose({ failures: new URLSearchParams(location.search).has('failures') ? '' : '1' })
      else if (event.key === '?') box.current?.showModal()
    }
    addEventListener('keydown', pressed)
    return () => removeEventListener('keydown', pressed)
  }, [])
  return (
    <dialog ref={box} className="act" aria-label="keys">
      <h2>Keys</h2>
      <dl>
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit">close</button>
      </form>
    </dialog>
  )
}
