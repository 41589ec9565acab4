import { useVirtualizer } from '@tanstack/react-virtual'
import { type MouseEvent, useMemo, useRef, useState } from 'react'
import type { Bead } from './api.ts'
import { BULK, type Bulk, BulkDialog } from './bulk.tsx'
import { GROUPS, type Group, groupOf, Mark } from './status.tsx'
import { state, useTopic } from './store.ts'
import { choose, useChosen } from './url-state.ts'

const ROW_PX = 30
const CARD_PX = 58
const MOST_AT_ONCE = 1_000

/**
 * All beads, as a table or a board, found by words and by group. Those that are done are an archive: they are shown when they are asked for
 * or searched, and on the board.
 */
export function Beads({ open }: { readonly open: (bead: string) => void }) {
  const revision = useTopic('beads')
  const { tab, status, q, bead } = useChosen()
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const [verb, setVerb] = useState<Bulk>()
  // biome-ignore lint/correctness/useExhaustiveDependencies: the store changes with its revision
  const { found, archived } = useMemo(() => {
    const words = q.toLowerCase()
    let archived = 0
    const found = [...state.beads.values()].filter((one) => {
      const group = groupOf(one.status, one.open_blockers)
      if (group === 'done') archived += 1
      if (status === '' ? group === 'done' && words === '' && tab !== 'board' : group !== status) return false
      return (
        words === '' || `${one.bead_id} ${one.title} ${one.labels.join(' ')}`.toLowerCase().includes(words)
      )
    })
    return { found, archived }
  }, [revision, status, q, tab])
  const chosen = [...selected].filter((id) => state.beads.has(id))
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
        <Nothing archived={archived} />
      ) : tab === 'board' ? (
        <Board beads={found} open={open} />
      ) : (
        <Table beads={found} open={open} chosen={bead} selected={selected} select={setSelected} />
      )}
      {chosen.length > 0 && (
        <p className="bulk">
          <b>{chosen.length.toLocaleString('en')} selected</b>
          <span className="acts">
            {BULK.map((name) => (
              <button
                key={name}
                type="button"
                disabled={chosen.length > MOST_AT_ONCE}
                onClick={() => setVerb(name)}
              >
                {name}
              </button>
            ))}
          </span>
          <span className="grow" />
          {chosen.length > MOST_AT_ONCE && <span className="dim">at most 1,000 at once</span>}
          <button type="button" onClick={() => setSelected(new Set())}>
            clear
          </button>
        </p>
      )}
      {verb && (
        <BulkDialog
          verb={verb}
          beads={chosen}
          close={() => {
            setVerb(undefined)
            setSelected(new Set())
          }}
        />
      )}
    </section>
  )
}

function Nothing({ archived }: { readonly archived: number }) {
  const { status, q } = useChosen()
  if (!state.beadsRead) return <p className="empty">reading…</p>
  if (state.beads.size === 0)
    return (
      <div className="empty">
        <p>The backlog is empty.</p>
        <dl>
          <dt>
            <code>swarm import backlog.jsonl</code>
          </dt>
          <dd>reads that of a tracker</dd>
          <dt>
            <code>swarm enqueue --json '…'</code>
          </dt>
          <dd>adds single beads</dd>
          <dt>
            <code>swarm up --agents implementer=4</code>
          </dt>
          <dd>works through it</dd>
        </dl>
      </div>
    )
  if (status !== '' || q !== '') return <p className="empty">No bead is like that.</p>
  return (
    <p className="empty">
      Nothing is left to do.{' '}
      <button type="button" className="link" onClick={() => choose({ status: 'done' })}>
        {archived.toLocaleString('en')} in the archive
      </button>
    </p>
  )
}

interface ListProps {
  readonly beads: readonly Bead[]
  readonly open: (bead: string) => void
}

interface TableProps extends ListProps {
  readonly chosen: string
  readonly selected: ReadonlySet<string>
  readonly select: (beads: ReadonlySet<string>) => void
}

function Table({ beads, open, chosen, selected, select }: TableProps) {
  const box = useRef<HTMLDivElement>(null)
  const lastAt = useRef(0)
  const rows = useVirtualizer({
    count: beads.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_PX,
    overscan: 8,
  })
  const all = selected.size >= beads.length && beads.every(({ bead_id }) => selected.has(bead_id))
  /** With the shift key everything from the last one on. */
  const toggle = (at: number, event: MouseEvent) => {
    const on = !selected.has(beads[at]?.bead_id ?? '')
    const from = event.shiftKey ? Math.min(lastAt.current, at) : at
    const to = event.shiftKey ? Math.max(lastAt.current, at) : at
    const next = new Set(selected)
    for (const { bead_id } of beads.slice(from, to + 1)) {
      if (on) next.add(bead_id)
      else next.delete(bead_id)
    }
    lastAt.current = at
    select(next)
  }
  return (
    <div ref={box} className="scroll">
      <div className="head">
        <input
          type="checkbox"
          aria-label={`select all ${beads.length} beads`}
          checked={all}
          onChange={() => select(all ? new Set() : new Set(beads.map(({ bead_id }) => bead_id)))}
        />
        <span className="columns">
          <span>id</span>
          <span>title</span>
          <span>status</span>
          <span>stage</span>
          <span>prio</span>
        </span>
      </div>
      <ul className="rows" style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map(({ index, start }) => {
          const bead = beads[index]
          if (!bead) return null
          const { bead_id } = bead
          const group = groupOf(bead.status, bead.open_blockers)
          return (
            <li
              key={bead_id}
              className={bead_id === chosen ? 'line chosen' : 'line'}
              style={{ transform: `translateY(${start}px)` }}
            >
              <input
                type="checkbox"
                aria-label={`select ${bead_id}`}
                checked={selected.has(bead_id)}
                onClick={(event) => toggle(index, event)}
                onChange={() => {}}
              />
              <button type="button" className="row columns" data-bead={bead_id} onClick={() => open(bead_id)}>
                <span className="mono">{bead_id}</span>
                <span className="cut" title={bead.title}>
                  {bead.title}
                </span>
                <span>
                  <Mark group={group} />
                  {group === 'waiting' && bead.open_blockers > 0
                    ? `waits for ${bead.open_blockers}`
                    : bead.status.replaceAll('_', ' ')}
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
                  <span className="cut" title={bead.title}>
                    {bead.title}
                  </span>
                </button>
              </li>
            )
          })}
        </ul>
      </div>
    </div>
  )
}
