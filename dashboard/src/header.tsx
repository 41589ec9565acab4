import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import type { Act, Overview } from './api.ts'
import { colourOf } from './colours.ts'
import { Mark } from './status.tsx'
import { state, useTopic } from './store.ts'
import { Ago, localTimes, serverNow, span } from './time.tsx'
import { choose } from './url-state.ts'

interface HeaderProps {
  readonly theme: string
  readonly act: (request: Act) => void
}

/** The first second: the verdict, how far it is, what there is, who works, and whether this is live. */
export function Header({ theme, act }: HeaderProps) {
  useTopic('overview')
  useTopic('connection')
  const { overview, connection } = state
  const live = connection === 'live'
  return (
    <header>
      <h1>swarm</h1>
      <p className={`verdict ${live ? (overview?.verdict.level ?? 'good') : 'bad'}`} role="status">
        {verdictText(overview)}
      </p>
      {overview && <Progress overview={overview} theme={theme} />}
      {overview && <Counts overview={overview} />}
      {overview?.run && <RunActs run={overview.run} act={act} />}
      <span className="live" title={overview ? `as of ${new Date(overview.as_of).toLocaleString()}` : ''}>
        <i className={`mark ${live ? 'running' : 'blocked'}`} aria-hidden="true" />
        {live ? 'live' : connection}
        {live && state.lagMs !== undefined && (
          <small title="from the last event to this page">{state.lagMs} ms</small>
        )}
        {!live && overview && (
          <small>
            as of <Ago at={overview.as_of} /> ago
          </small>
        )}
      </span>
      <button
        type="button"
        onClick={() => choose({ theme: theme === 'dark' ? 'light' : 'dark' })}
        aria-label={`switch to the ${theme === 'dark' ? 'light' : 'dark'} theme`}
      >
        {theme === 'dark' ? '☾' : '☀'}
      </button>
    </header>
  )
}

/** What is known while nothing new comes. */
export function Away() {
  useTopic('connection')
  const { connection, overview, why } = state
  if (connection !== 'away' && connection !== 'database away') return null
  return (
    <p className="away">
      <b>{connection === 'away' ? 'The server does not answer.' : 'The database does not answer.'}</b>
      {overview ? (
        <span>
          What you see is as of <Ago at={overview.as_of} /> ago. The page goes on by itself.
        </span>
      ) : (
        <span>The page begins by itself when it does. {why}</span>
      )}
    </p>
  )
}

function verdictText(overview: Overview | undefined): string {
  if (state.connection === 'database away') return 'database away'
  if (state.connection === 'away') return 'server away'
  return localTimes(overview?.verdict.text ?? 'reading…')
}

function Progress({ overview, theme }: { readonly overview: Overview; readonly theme: string }) {
  const { run, beads } = overview
  const done = run ? run.landed : (beads.completed ?? 0)
  const total =
    run?.target ?? Object.entries(beads).reduce((sum, [name, n]) => sum + (name === 'cancelled' ? 0 : n), 0)
  const estimate = run && run.ended_at === undefined ? run.estimated_completion : undefined
  return (
    <span className="progress">
      <strong>{done.toLocaleString('en')}</strong>
      <span className="dim">
        of {total.toLocaleString('en')} {run ? 'landed' : 'done'}
      </span>
      <BurnUp finished={overview.finished} theme={theme} />
      {estimate !== undefined && (
        <span className="dim" title={new Date(estimate).toLocaleString()}>
          about {span(Date.parse(estimate) - serverNow())} left
        </span>
      )}
    </span>
  )
}

/** How many had been finished by when. */
function BurnUp({ finished, theme }: { readonly finished: Overview['finished']; readonly theme: string }) {
  const box = useRef<HTMLSpanElement>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: the theme changes the colours that are read
  useEffect(() => {
    if (!box.current || finished.length < 2) return
    let sum = 0
    const xs = finished.map(({ at }) => Date.parse(at) / 1_000)
    const ys = finished.map(({ count }) => (sum += count))
    const plot = new uPlot(
      {
        width: 120,
        height: 28,
        legend: { show: false },
        cursor: { show: false },
        axes: [{ show: false }, { show: false }],
        padding: [2, 0, 2, 0],
        series: [{}, { stroke: colourOf('running'), width: 1.5 }],
      },
      [xs, ys],
      box.current,
    )
    return () => plot.destroy()
  }, [finished, theme])
  if (finished.length < 2) return null
  return <span ref={box} className="spark" role="img" aria-label="how many had been finished by when" />
}

function Counts({ overview }: { readonly overview: Overview }) {
  const { beads, ready, agents } = overview
  const waiting = (beads.pending ?? 0) - ready + (beads.deferred ?? 0)
  const counts = [
    ['ready', ready],
    ['running', beads.in_progress ?? 0],
    ['waiting', waiting],
    ['blocked', (beads.blocked ?? 0) + (beads.failed ?? 0)],
    ['done', (beads.completed ?? 0) + (beads.cancelled ?? 0)],
  ] as const
  return (
    <ul className="counts">
      {counts.map(([group, count]) => (
        <li key={group}>
          <Mark group={group} />
          {group} <b>{count.toLocaleString('en')}</b>
        </li>
      ))}
      <li>
        agents busy{' '}
        <b>
          {agents.busy}/{agents.total}
        </b>
      </li>
    </ul>
  )
}

function RunActs({
  run,
  act,
}: {
  readonly run: NonNullable<Overview['run']>
  readonly act: (request: Act) => void
}) {
  if (run.ended_at !== undefined) return null
  const { run_id } = run
  return (
    <span className="acts">
      {run.status === 'paused' ? (
        <button type="button" onClick={() => act({ cmd: 'unpause', run_id })}>
          unpause
        </button>
      ) : (
        <button type="button" onClick={() => act({ cmd: 'pause', run_id })}>
          pause
        </button>
      )}
      <button type="button" onClick={() => act({ cmd: 'down', run_id })}>
        down
      </button>
    </span>
  )
}
