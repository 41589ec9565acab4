import { useEffect, useState } from 'react'
import { ActDialog, type Wanted } from './act.tsx'
import { AgentDrawer } from './agent-drawer.tsx'
import type { Act } from './api.ts'
import { BeadDrawer } from './bead-drawer.tsx'
import { Beads } from './beads.tsx'
import { readColours } from './colours.ts'
import { Events } from './events.tsx'
import { Graph } from './graph.tsx'
import { Away, Header } from './header.tsx'
import { Keys } from './keys.tsx'
import { Lanes } from './lanes.tsx'
import { Login } from './login.tsx'
import { Needs } from './needs.tsx'
import { Resources } from './resources.tsx'
import { state, useTopic } from './store.ts'
import { choose, useChosen } from './url-state.ts'

export function App() {
  useTopic('connection')
  const chosen = useChosen()
  const theme = chosen.theme || (matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark')
  const [wanted, setWanted] = useState<Wanted>()
  document.documentElement.dataset.theme = theme
  readColours()
  useTabTitle()

  if (state.connection === 'login') return <Login />
  const open = (bead: string) => choose({ bead, agent: '' })
  const act = (request: Act, more?: Omit<Wanted, 'request'>) => setWanted({ request, ...more })
  return (
    <>
      <Header theme={theme} act={act} />
      <Away />
      <Needs open={open} act={act} />
      <main>
        <Lanes open={(agent) => choose({ agent, bead: '' })} />
        <Beads open={open} />
        <Graph open={open} />
        <div className="stack">
          <Resources open={open} />
          <Events open={open} />
        </div>
      </main>
      {chosen.bead !== '' && (
        <BeadDrawer
          id={chosen.bead}
          act={act}
          open={open}
          openAgent={(agent) => choose({ agent, bead: '' })}
          close={() => choose({ bead: '' })}
        />
      )}
      {chosen.agent !== '' && (
        <AgentDrawer id={Number(chosen.agent)} act={act} open={open} close={() => choose({ agent: '' })} />
      )}
      {wanted && (
        <ActDialog key={JSON.stringify(wanted)} wanted={wanted} close={() => setWanted(undefined)} />
      )}
      <Keys />
    </>
  )
}

/** The tab tells in title and icon that somebody is needed. */
function useTabTitle(): void {
  useTopic('overview')
  const needs = state.overview?.needs_you.length ?? 0
  const level = state.connection === 'live' ? (state.overview?.verdict.level ?? 'good') : 'bad'
  const away = state.connection === 'away' || state.connection === 'database away' ? state.connection : ''
  useEffect(() => {
    document.title = away !== '' ? `(!) swarm, ${away}` : needs > 0 ? `(${needs}) swarm` : 'swarm'
    const colour = { good: '%231a7f37', warning: '%239a6700', bad: '%23cf222e' }[level]
    const icon = `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='${colour}'/></svg>`
    document.getElementById('favicon')?.setAttribute('href', icon)
  }, [needs, level, away])
}
