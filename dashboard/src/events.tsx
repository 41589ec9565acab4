import { useMemo } from 'react'
import type { LogEvent } from './api.ts'
import { state, useTopic } from './store.ts'
import { Ago } from './time.tsx'
import { choose, useChosen } from './url-state.ts'

const SHOWN = 120
const BAD = /fail|block|stuck|meltdown|exceeded|lost|overdue|retry|ejected|expired/

/** What happened, latest first. Events of one bead that follow each other stand together. */
export function Events({ open }: { readonly open: (bead: string) => void }) {
  const revision = useTopic('events')
  const { failures } = useChosen()
  // biome-ignore lint/correctness/useExhaustiveDependencies: the store changes with its revision
  const groups = useMemo(
    () => grouped(state.events.filter((event) => failures === '' || isBad(event))).slice(0, SHOWN),
    [revision, failures],
  )
  return (
    <section className="panel events" aria-label="what happened, latest first">
      <h2>
        Events
        <span className="chips">
          <button
            type="button"
            aria-pressed={failures !== ''}
            onClick={() => choose({ failures: failures === '' ? '1' : '' })}
          >
            failures only
          </button>
        </span>
      </h2>
      {groups.length === 0 ? (
        <p className="empty">{failures === '' ? 'Nothing has happened yet.' : 'Nothing has failed.'}</p>
      ) : (
        <ol className="scroll">
          {groups.map(({ first, types }) => (
            <li key={first.sequence}>
              <Ago at={first.timestamp} />
              <span className="who">{first.agent_id === undefined ? '' : `#${first.agent_id}`}</span>
              <span className="types">
                {types.map((type) => (
                  <span key={type} className={BAD.test(type) ? 'type bad' : 'type'}>
                    {type.replaceAll('_', ' ')}
                  </span>
                ))}
              </span>
              {first.bead_id === undefined ? (
                <span className="mono">{first.entity_id}</span>
              ) : (
                <button type="button" className="link mono" onClick={() => open(first.bead_id ?? '')}>
                  {first.bead_id}
                </button>
              )}
              <span className="dim">{first.stage ?? ''}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  )
}

function isBad({ event_type, severity }: LogEvent): boolean {
  return severity === 'error' || severity === 'critical' || severity === 'warning' || BAD.test(event_type)
}

interface Grouped {
  readonly first: LogEvent
  readonly types: readonly string[]
}

/** Neighbours of one bead and agent become one entry with their types in the order in which they came. */
function grouped(events: readonly LogEvent[]): readonly Grouped[] {
  const groups: { first: LogEvent; types: string[] }[] = []
  for (const event of events) {
    const last = groups.at(-1)
    const same =
      last?.first.bead_id !== undefined &&
      last.first.bead_id === event.bead_id &&
      last.first.agent_id === event.agent_id &&
      last.types.length < 4
    if (!same) groups.push({ first: event, types: [event.event_type] })
    else if (!last.types.includes(event.event_type)) last.types.unshift(event.event_type)
  }
  return groups
}
