import { useSyncExternalStore } from 'react'

/** What is chosen on the page stands in its address, so that it can be shared, and `back` goes back. */
export interface Chosen {
  readonly tab: string
  readonly bead: string
  readonly agent: string
  readonly status: string
  readonly q: string
  readonly minutes: string
  readonly theme: string
  readonly failures: string
}

const DEFAULTS: Chosen = {
  tab: 'table',
  bead: '',
  agent: '',
  status: '',
  q: '',
  minutes: '10',
  theme: '',
  failures: '',
}

let current = read()
const listeners = new Set<() => void>()

function read(): Chosen {
  const query = new URLSearchParams(location.search)
  const names = Object.keys(DEFAULTS) as (keyof Chosen)[]
  return Object.fromEntries(
    names.map((name) => [name, query.get(name) ?? DEFAULTS[name]]),
  ) as unknown as Chosen
}

addEventListener('popstate', () => {
  current = read()
  for (const listener of listeners) listener()
})

/** Chooses; opening something is a step in the history, filters are not. */
export function choose(change: Partial<Chosen>): void {
  const step = change.bead !== undefined || change.agent !== undefined || change.tab !== undefined
  current = { ...current, ...change }
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(current))
    if (value !== '' && value !== DEFAULTS[name as keyof Chosen]) query.set(name, value)
  const url = query.size > 0 ? `?${query}` : location.pathname
  if (step) history.pushState(null, '', url)
  else history.replaceState(null, '', url)
  for (const listener of listeners) listener()
}

export function useChosen(): Chosen {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => current,
  )
}
