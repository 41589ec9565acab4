import { state, useTopic } from './store.ts'
import { span } from './time.tsx'

/** The landing train with its positions and verdicts, quotas by account, and what was spent. */
export function Resources({ open }: { readonly open: (bead: string) => void }) {
  useTopic('overview')
  const { overview } = state
  if (!overview) return null
  const { train, quotas, spent } = overview
  if (train.length === 0 && quotas.length === 0 && spent.usd === 0 && spent.tokens === 0) return null
  return (
    <section className="panel resources" aria-label="landing, quotas and spending">
      <h2>Landing</h2>
      {train.length === 0 ? (
        <p className="dim pad">nothing waits to land</p>
      ) : (
        <ol className="train">
          {train.map(({ bead_id, status, tries }, at) => (
            <li key={bead_id} className={status}>
              <small>{at + 1}</small>
              <button type="button" className="link mono" onClick={() => open(bead_id)}>
                {bead_id}
              </button>
              <span>{tries > 1 ? `${status}, try ${tries}` : status}</span>
            </li>
          ))}
        </ol>
      )}
      <ul className="bars">
        {quotas.map(({ account, kind, used_percent, until }) => (
          <li key={`${account} ${kind}`}>
            <span>
              {account} <small className="dim">{kind}</small>
            </span>
            <meter
              min={0}
              max={100}
              high={80}
              value={used_percent ?? 100}
              aria-label={`quota of ${account}`}
            />
            <span className="dim">
              {used_percent === undefined ? 'used up' : `${Math.round(used_percent)} %`}
              {until === undefined ? '' : `, renewed in ${span(Date.parse(until) - Date.now())}`}
            </span>
          </li>
        ))}
        {(spent.usd > 0 || spent.tokens > 0) && (
          <li>
            <span>spent</span>
            <span />
            <span className="dim">
              {spent.usd > 0 ? `$${spent.usd.toFixed(2)}, ` : ''}
              {spent.tokens.toLocaleString('en')} tokens
            </span>
          </li>
        )}
      </ul>
    </section>
  )
}
