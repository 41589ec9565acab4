import { useVirtualizer } from '@tanstack/react-virtual'
import { useMemo, useRef } from 'react'
import type { Bead } from './api.ts'
import { GROUPS, type Group, groupOf, Mark } from './status.tsx'
import { state, useTopic } from './store.ts'
import { choose, useChosen } from './url-state.ts'

const ROW_PX = 30
const CARD_PX = 58

/** All beads, as a table or a board, found by words and by group. */
export function Beads({ open }: { readonly open: (bead: string) => void }) {
  const revision = useTopic('beads')
  const { tab, status, q, bead } = useChosen()
  // biome-ignore lint/correctness/useExhaustiveDependencies: the store changes with its revision
  const found = useMemo(() => {
    const words = q.toLowerCase()
    return [...state.beads.values()].filter(
      (one) =>
        (status === '' || groupOf(one.status, one.open_blockers) === status) &&
        (words === '' || `${one.bead_id} ${one.title} ${one.labels.join(' ')}`.toLowerCase().includes(words)),
    )
  }, [revision, status, q])
  return (
    <section className="panel beads" aria-label="beads">
      <h2>
        Beads <span className="dim">{found.length.toLocaleString('en')}</span>
        <input
          id="search"
          type="search"
          placeholder="filter  /"
          aria-label="filter beads by words"
          value={q}
          onChange={(event) => choose({ q: event.target.value })}
        />
        <span className="chips">
          {GROUPS.map((group) => (
            <button
              key={group}
              type="button"
              aria-pressed={status === group}
              onClick={() => choose({ status: status === group ? '' : group })}
            >
              <Mark group={group} />
              {group}
            </button>
          ))}
        </span>
        <span className="grow" />
        <span className="chips">
          {['table', 'board'].map((name) => (
            <button
              key={name}
              type="button"
              aria-pressed={tab === name}
              onClick={() => choose({ tab: name })}
            >
              {name}
            </button>
          ))}
        </span>
      </h2>
      {found.length === 0 ? (
        <p className="empty">
          {state.beads.size > 0
            ? 'No bead is like that.'
            : state.beadsRead
              ? 'The backlog is empty. `swarm enqueue` or `swarm import` fills it.'
              : 'reading…'}
        </p>
      ) : tab === 'board' ? (
        <Board beads={found} open={open} />
      ) : (
        <Table beads={found} open={open} chosen={bead} />
      )}
    </section>
  )
}

interface ListProps {
  readonly beads: readonly Bead[]
  readonly open: (bead: string) => void
}

function Table({ beads, open, chosen }: ListProps & { readonly chosen: string }) {
  const box = useRef<HTMLDivElement>(null)
  const rows = useVirtualizer({
    count: beads.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_PX,
    overscan: 8,
  })
  return (
    <div ref={box} className="scroll">
      <ul className="rows" style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map(({ index, start }) => {
          const bead = beads[index]
          if (!bead) return null
          const group = groupOf(bead.status, bead.open_blockers)
          return (
            <li key={bead.bead_id} style={{ transform: `translateY(${start}px)` }}>
              <button
                type="button"
                className={bead.bead_id === chosen ? 'row chosen' : 'row'}
                onClick={() => open(bead.bead_id)}
              >
                <span className="mono">{bead.bead_id}</span>
                <span className="cut">{bead.title}</span>
                <span>
                  <Mark group={group} />
                  {group === 'waiting' && bead.open_blockers > 0
                    ? `waits for ${bead.open_blockers}`
                    : bead.status}
                </span>
                <span className="cut">{bead.stage}</span>
                <span>{bead.priority}</span>
              </button>
            </li>
          )
        })}
      </ul>
    </div>
  )
}

function Board({ beads, open }: ListProps) {
  const columns = useMemo(
    () => Map.groupBy(beads, (bead) => groupOf(bead.status, bead.open_blockers)),
    [beads],
  )
  return (
    <div className="board">
      {GROUPS.map((group) => (
        <Column key={group} group={group} beads={columns.get(group) ?? []} open={open} />
      ))}
    </div>
  )
}

function Column({ group, beads, open }: ListProps & { readonly group: Group }) {
  const box = useRef<HTMLDivElement>(null)
  const cards = useVirtualizer({
    count: beads.length,
    getScrollElement: () => box.current,
    estimateSize: () => CARD_PX,
    overscan: 4,
  })
  return (
    <div className="column">
      <h3>
        <Mark group={group} />
        {group} <span className="dim">{beads.length.toLocaleString('en')}</span>
      </h3>
      <div ref={box} className="scroll">
        <ul className="rows" style={{ height: cards.getTotalSize() }}>
          {cards.getVirtualItems().map(({ index, start }) => {
            const bead = beads[index]
            if (!bead) return null
            return (
              <li key={bead.bead_id} style={{ transform: `translateY(${start}px)` }}>
                <button type="button" className={`card ${group}`} onClick={() => open(bead.bead_id)}>
                  <span className="mono">
                    {bead.bead_id} <small>{bead.priority}</small>
                  </span>
                  <span className="cut">{bead.title}</span>
                </button>
              </li>
            )
          })}
        </ul>
      </div>
    </div>
  )
}
