import { state, useTopic } from './store.ts'
import { dollars, serverNow, span } from './time.tsx'

const BUDGETS: Readonly<Record<string, string>> = {
  run_usd: 'budget of the run',
  run_tokens: 'tokens of the run',
  day_usd: 'budget of the day',
  day_tokens: 'tokens of the day',
}

/** The landing train with its positions and verdicts, quotas by account, and what was spent. */
export function Resources({ open }: { readonly open: (bead: string) => void }) {
  useTopic('overview')
  const { overview } = state
  if (!overview) return null
  const { train, quotas, spent, budgets } = overview
  // what was used up and is renewed says nothing any more
  const told = quotas.filter(
    ({ used_percent, until }) =>
      used_percent !== undefined || until === undefined || Date.parse(until) > serverNow(),
  )
  const hasSpent = spent.usd > 0 || spent.tokens > 0
  if (train.length === 0 && told.length === 0 && budgets.length === 0 && !hasSpent) return null
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
        {told.map(({ account, kind, used_percent, until }) => (
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
              {until === undefined ? '' : `, renewed in ${span(Date.parse(until) - serverNow())}`}
            </span>
          </li>
        ))}
        {budgets.map(({ kind, used, limit }) => {
          const amount = (value: number) =>
            kind.endsWith('_usd') ? dollars(value) : value.toLocaleString('en')
          return (
            <li key={kind}>
              <span>{BUDGETS[kind] ?? kind}</span>
              <meter
                min={0}
                max={limit}
                high={limit * 0.8}
                value={Math.min(used, limit)}
                aria-label={BUDGETS[kind] ?? kind}
              />
              <span className="dim">
                {amount(used)} of {amount(limit)}
              </span>
            </li>
          )
        })}
        {hasSpent && (
          <li>
            <span>spent</span>
            <span />
            <span className="dim">
              {spent.usd > 0 ? `${dollars(spent.usd)}, ` : ''}
              {spent.tokens.toLocaleString('en')} tokens
            </span>
          </li>
        )}
      </ul>
    </section>
  )
}
