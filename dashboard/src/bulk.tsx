import { type FormEvent, useEffect, useRef, useState } from 'react'
import { flagWith, quoted, Shell } from './act.tsx'
import { type Act, Refusal, type Result, rpcEach } from './api.ts'

/** What can be done to several beads at once. */
export const BULK = ['cancel', 'reopen', 'defer', 'undefer', 'priority'] as const
export type Bulk = (typeof BULK)[number]

/** So many go out in one request: what became of them is shown as it comes. */
const AT_ONCE = 25
const PRIORITIES = ['p0', 'p1', 'p2', 'p3', 'p4']

interface BulkProps {
  readonly verb: Bulk
  readonly beads: readonly string[]
  readonly close: () => void
}

/** One verb for several beads, one reason for all of them, and what became of each. */
export function BulkDialog({ verb, beads, close }: BulkProps) {
  const box = useRef<HTMLDialogElement>(null)
  const [reason, setReason] = useState('')
  const [priority, setPriority] = useState('p1')
  const [results, setResults] = useState<ReadonlyMap<string, Result>>(new Map())
  const [state, setState] = useState<'asks' | 'sends' | 'done'>('asks')
  const [problem, setProblem] = useState('')
  // one key for each bead: sent again, it is done once
  const [key] = useState(() => crypto.randomUUID())
  useEffect(() => box.current?.showModal(), [])

  const send = async (event: FormEvent) => {
    event.preventDefault()
    setState('sends')
    setProblem('')
    const known = new Map(results)
    const left = beads.filter((bead) => !known.has(bead))
    try {
      for (let from = 0; from < left.length; from += AT_ONCE) {
        const some = left.slice(from, from + AT_ONCE)
        const answers = await rpcEach(
          some.map((bead) => ({ ...requestOf(verb, bead, reason, priority), idem: `${key}/${bead}` })),
        )
        for (const [at, bead] of some.entries()) {
          const answer = answers[at]
          if (answer) known.set(bead, answer)
        }
        setResults(new Map(known))
      }
      setState('done')
    } catch (error) {
      setProblem(error instanceof Refusal ? error.message : String(error))
      setState('asks')
    }
  }
  const title = `${verb === 'priority' ? 'set the priority of' : verb} ${beads.length} ${beads.length === 1 ? 'bead' : 'beads'}`
  const failed = [...results.values()].filter(({ ok }) => !ok).length
  return (
    <dialog ref={box} className="act" aria-label={title} onClose={close}>
      <form onSubmit={send}>
        <h2>{title}</h2>
        {verb === 'priority' && (
          <label htmlFor="bulk-priority">
            Priority
            <select
              id="bulk-priority"
              value={priority}
              disabled={state !== 'asks'}
              onChange={(event) => setPriority(event.target.value)}
            >
              {PRIORITIES.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </label>
        )}
        <label htmlFor="bulk-reason">
          {verb === 'reopen' ? 'Reason: what to do differently' : 'Reason'}
          <input
            id="bulk-reason"
            value={reason}
            disabled={state !== 'asks'}
            onChange={(event) => setReason(event.target.value)}
          />
        </label>
        <Shell text={loopOf(verb, beads, reason, priority)} />
        <ul className="results">
          {beads.map((bead) => {
            const result = results.get(bead)
            return (
              <li key={bead} className={result === undefined ? '' : result.ok ? 'ok' : 'bad'}>
                <span className="mono">{bead}</span>
                <span>{result === undefined ? '' : result.ok ? 'done' : result.problem}</span>
              </li>
            )
          })}
        </ul>
        {(problem !== '' || state === 'done') && (
          <p className={problem === '' && failed === 0 ? '' : 'problem'} role="alert">
            {problem === '' ? `${results.size - failed} done, ${failed} refused` : problem}
          </p>
        )}
        <p className="acts">
          {state !== 'done' && (
            <button type="submit" className="go" disabled={state === 'sends'}>
              {state === 'sends' ? `${results.size} of ${beads.length}` : verb}
            </button>
          )}
          <button type="button" onClick={close}>
            {state === 'done' ? 'close' : 'not now'}
          </button>
        </p>
      </form>
    </dialog>
  )
}

function requestOf(verb: Bulk, bead_id: string, reason: string, priority: string): Act {
  const why = reason === '' ? {} : { reason }
  if (verb === 'cancel') return { cmd: 'cancel', bead_id, ...why }
  if (verb === 'reopen') return { cmd: 'reopen', bead_id, ...(reason === '' ? {} : { feedback: reason }) }
  if (verb === 'priority') return { cmd: 'update', bead_id, priority, ...why }
  return { cmd: 'update', bead_id, status: verb === 'defer' ? 'deferred' : 'pending', ...why }
}

/** The same as a loop of a shell. */
function loopOf(verb: Bulk, beads: readonly string[], reason: string, priority: string): string {
  const { cmd, bead_id: _each, ...fields } = requestOf(verb, '', reason, priority)
  const flags = Object.entries(fields).map(([name, value]) => ` ${flagWith(name, String(value))}`)
  return `for bead in ${beads.map(quoted).join(' ')}; do swarm ${cmd} --bead-id="$bead"${flags.join('')}; done`
}
