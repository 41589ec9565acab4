import type { Wanted } from './act.tsx'
import type { Act, Need } from './api.ts'
import { state, useTopic } from './store.ts'
import { Ago, localTimes } from './time.tsx'

interface NeedsProps {
  readonly open: (bead: string) => void
  readonly act: (request: Act, more?: Omit<Wanted, 'request'>) => void
}

/** The second second: what waits for a person, worst first. Never hidden. */
export function Needs({ open, act }: NeedsProps) {
  useTopic('overview')
  const needs = state.overview?.needs_you ?? []
  return (
    <section className="needs" aria-label="what needs you">
      <h2>
        Needs you <b className={needs.length === 0 ? 'dim' : 'count'}>{needs.length}</b>
      </h2>
      {needs.length === 0 ? (
        <p className="dim">nothing waits for a person</p>
      ) : (
        <ul>
          {needs.map((need) => (
            <li key={`${need.kind} ${need.subject}`} className={need.level}>
              <NeedCard need={need} open={open} act={act} />
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

function NeedCard({ need, open, act }: NeedsProps & { readonly need: Need }) {
  const { kind, title, evidence, since, bead_id, acts, options } = need
  const about = evidence === undefined ? title : `${title}\n${localTimes(evidence)}`
  return (
    <>
      <p className="about">
        <span className="kind">{kind}</span>
        {bead_id === undefined ? null : (
          <button type="button" className="link mono" title={bead_id} onClick={() => open(bead_id)}>
            {bead_id}
          </button>
        )}
        {since !== undefined && <Ago at={since} />}
      </p>
      <p>
        <b title={title}>{title}</b>
      </p>
      {evidence !== undefined && (
        <p className="dim evidence" title={evidence}>
          {localTimes(evidence)}
        </p>
      )}
      {acts.length > 0 && (
        <p className="acts">
          {acts.map((request) => (
            <button key={request.cmd} type="button" onClick={() => act(request, { options, about })}>
              {request.cmd}
            </button>
          ))}
        </p>
      )}
    </>
  )
}
