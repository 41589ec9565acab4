import { useEffect, useRef } from 'react'
import { choose } from './url-state.ts'

const KEYS: readonly (readonly [string, string])[] = [
  ['/', 'find beads'],
  ['j  k', 'next and previous bead'],
  ['x', 'select the open bead'],
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
      const inField =
        event.target instanceof Element &&
        event.target.matches('input:not([type=checkbox]), select, textarea')
      if (event.key === 'Escape' && !document.querySelector('dialog.act[open]')) {
        if (inField) (event.target as HTMLElement).blur()
        else choose({ bead: '', agent: '' })
      }
      if (inField) return
      if (event.key === '/') {
        event.preventDefault()
        document.getElementById('search')?.focus()
      } else if (event.key === 't') choose({ tab: 'table' })
      else if (event.key === 'j') step(1)
      else if (event.key === 'k') step(-1)
      else if (event.key === 'x') select()
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

/** Opens the bead after or before the open one, as the table shows them. */
function step(by: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>('[data-bead]')].sort(
    (a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top,
  )
  const open = new URLSearchParams(location.search).get('bead')
  const at = rows.findIndex(({ dataset }) => dataset.bead === open)
  const row = at < 0 ? rows[0] : rows[at + by]
  row?.scrollIntoView({ block: 'nearest' })
  row?.click()
}

function select(): void {
  document.querySelector<HTMLElement>('.line.chosen input')?.click()
}
