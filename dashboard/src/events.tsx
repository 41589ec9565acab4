import { useMemo } from 'react'
import type { LogEvent } from './api.ts'
import { state, useTopic } from './store.ts'
import { Ago, span } from './time.tsx'
import { choose, useChosen } from './url-state.ts'

const SHOWN = 120
const MOST_TYPES = 4
/** A pause of so long is told, in ms. */
const PAUSE_MS = 60_000
const BAD = /fail|block|stuck|meltdown|exceeded|lost|overdue|retry|ejected|expired|conflict|crash/
/** What says only that somebody is there, or busy: many of them in a row are one entry. */
const IDLE =
  /^(?:iteration_|progress$|activity$|lock_|agent_status|lease_renewed|heartbeat|artifact_stored|message_read)/

/** What happened, latest first: events of one bead that follow each other stand together, what says little is put into one line, and so are pauses. */
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
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        <ol className="scroll" tabIndex={0}>
          {groups.map((group) => (
            <Entry key={group.first.sequence} group={group} open={open} />
          ))}
        </ol>
      )}
    </section>
  )
}

function Entry({ group, open }: { readonly group: Grouped; readonly open: (bead: string) => void }) {
  const { first, types, count, idle, pauseMs } = group
  return (
    <>
      {pauseMs !== undefined && <li className="pause">nothing for {span(pauseMs)}</li>}
      <li className={idle ? (count > 1 ? 'idle many' : 'idle') : ''}>
        <Ago at={first.timestamp} />
        <span className="who">{first.agent_id === undefined ? '' : `#${first.agent_id}`}</span>
        <span className="types">
          {types.map((type) => (
            <span key={type} className={BAD.test(type) ? 'type bad' : 'type'}>
              {type.replaceAll('_', ' ')}
            </span>
          ))}
          {idle && count > 1 && <span className="dim">×{count}</span>}
        </span>
        {idle && count > 1 ? (
          <span />
        ) : first.bead_id === undefined ? (
          <span className="mono">{first.entity_id}</span>
        ) : (
          <button type="button" className="link mono" onClick={() => open(first.bead_id ?? '')}>
            {first.bead_id}
          </button>
        )}
        <span className="dim">{idle && count > 1 ? '' : (first.stage ?? '')}</span>
      </li>
    </>
  )
}

function isBad({ event_type, severity }: LogEvent): boolean {
  return severity === 'error' || severity === 'critical' || severity === 'warning' || BAD.test(event_type)
}

interface Grouped {
  readonly first: LogEvent
  /** In the order in which they came; the latest kinds where there are many. */
  readonly types: string[]
  readonly count: number
  /** Of all that is in it, nothing says more than that somebody is there. */
  readonly idle: boolean
  /** How long nothing happened between this and what came after it, where that was long. */
  readonly pauseMs: number | undefined
}

function grouped(events: readonly LogEvent[]): readonly Grouped[] {
  const groups: { -readonly [name in keyof Grouped]: Grouped[name] }[] = []
  let before: LogEvent | undefined
  for (const event of events) {
    const idle = IDLE.test(event.event_type)
    const last = groups.at(-1)
    const gapMs = before ? Date.parse(before.timestamp) - Date.parse(event.timestamp) : 0
    before = event
    const pauseMs = gapMs > PAUSE_MS ? gapMs : undefined
    if (!last || pauseMs !== undefined || !belongs(last, event, idle)) {
      groups.push({ first: event, types: [event.event_type], count: 1, idle, pauseMs })
      continue
    }
    last.count += 1
    if (!last.types.includes(event.event_type) && last.types.length < MOST_TYPES)
      last.types.unshift(event.event_type)
  }
  return groups
}

/** Whether an event stands with those that came right after it: of one bead and agent, or all of them idle. */
function belongs({ first, types, idle: wasIdle }: Grouped, event: LogEvent, idle: boolean): boolean {
  if (wasIdle && idle) return true
  return (
    wasIdle === idle &&
    first.bead_id !== undefined &&
    first.bead_id === event.bead_id &&
    first.agent_id === event.agent_id &&
    (types.length < MOST_TYPES || types.includes(event.event_type))
  )
}
