import {
  type Act,
  type BeadContext,
  type Evidence,
  type Explained,
  get,
  type LogEvent,
  rpc,
  type Session,
} from './api.ts'
import { Changes } from './changes.tsx'
import { AsOf, Drawer, Fact, Section, Text, useAnswer } from './drawer.tsx'
import { Log } from './log.tsx'
import { groupOf, Mark } from './status.tsx'
import { state, useTopic } from './store.ts'
import { Ago, dollars, span } from './time.tsx'

const SHORT = 12

interface BeadProps {
  readonly id: string
  readonly act: (request: Act) => void
  readonly open: (bead: string) => void
  readonly openAgent: (agent: string) => void
  readonly close: () => void
}

/** All that is known of a bead: text, what it waits for, attempts with feedback and evidence, changes, messages, cost, log, decisions. */
export function BeadDrawer({ id, act, open, openAgent, close }: BeadProps) {
  useTopic('beads')
  useTopic('events')
  const bead = state.beads.get(id)
  // whatever happens to it is an event
  const version = `${bead?.status} ${state.events.find(({ bead_id }) => bead_id === id)?.sequence}`
  const about = useAnswer<BeadContext>(() => rpc({ cmd: 'resume-context', bead_id: id }), id, version)
  const why = useAnswer<Explained>(() => get(`/api/beads/${encodeURIComponent(id)}/explain`), id, version)
  const gates = useAnswer<{ artifacts: Evidence[] }>(
    () => rpc({ cmd: 'artifacts', bead_id: id, artifact_type: 'quality_gate_report', full: true, limit: 20 }),
    id,
    version,
  )
  const shown = bead ?? about.answer?.bead
  const problem = about.problem ?? why.problem
  const sessions = why.answer?.sessions ?? []
  return (
    <Drawer
      label={`bead ${id}`}
      close={close}
      title={
        <>
          {shown && <Mark group={groupOf(shown.status, shown.open_blockers)} />}
          <span className="mono cut" title={id}>
            {id}
          </span>
        </>
      }
    >
      {problem !== undefined && <p className="problem">{problem}</p>}
      <p className="title">{shown?.title}</p>
      {shown && (
        <p className="tags">
          <span>{shown.status.replaceAll('_', ' ')}</span>
          {shown.stage !== 'done' && (
            <span>
              {shown.stage} {shown.attempt}
            </span>
          )}
          <span>{shown.priority}</span>
          <span>{shown.bead_type}</span>
          {shown.labels.map((label) => (
            <span key={label}>{label}</span>
          ))}
        </p>
      )}
      {why.answer?.waits_for !== undefined && (
        <p className="callout">
          It waits for <b>{why.answer.waits_for}</b>
        </p>
      )}
      <p className="acts">
        {actsOf(id, shown?.status).map((request) => (
          <button key={request.cmd} type="button" onClick={() => act(request)}>
            {request.cmd}
          </button>
        ))}
      </p>
      {about.answer && <Facts about={about.answer} sessions={sessions} open={open} openAgent={openAgent} />}
      {about.answer && <Attempts attempts={about.answer.attempts} evidence={gates.answer?.artifacts ?? []} />}
      {about.answer && (
        <>
          <Section title="Changes">
            {() => <Changes bead={id} version={`${bead?.status} ${bead?.stage} ${bead?.attempt}`} />}
          </Section>
          <Messages messages={about.answer.messages} />
        </>
      )}
      <SessionLogs sessions={sessions} />
      {why.answer && <Decisions decisions={why.answer.decisions} />}
      <AsOf at={about.at} />
    </Drawer>
  )
}

function actsOf(bead_id: string, status: string | undefined): readonly Act[] {
  if (status === undefined) return []
  if (status === 'completed' || status === 'cancelled') return [{ cmd: 'reopen', bead_id }]
  if (status === 'blocked' || status === 'failed')
    return [
      { cmd: 'reopen', bead_id },
      { cmd: 'cancel', bead_id },
    ]
  if (status === 'in_progress') return [{ cmd: 'cancel', bead_id }]
  return [
    { cmd: 'assign', bead_id },
    { cmd: 'cancel', bead_id },
  ]
}

interface FactsProps {
  readonly about: BeadContext
  readonly sessions: readonly Session[]
  readonly open: (bead: string) => void
  readonly openAgent: (agent: string) => void
}

function Facts({ about, sessions, open, openAgent }: FactsProps) {
  const { bead, claim, blockers } = about
  const cost = sessions.reduce((sum, { cost_usd }) => sum + (cost_usd ?? 0), 0)
  return (
    <>
      <dl>
        {claim && (
          <Fact name="held by">
            <button type="button" className="link" onClick={() => openAgent(String(claim.agent_id))}>
              agent {claim.agent_id}
            </button>
            , lease ends <Ago at={claim.lease_expires_at} />
          </Fact>
        )}
        {blockers.length > 0 && (
          <Fact name="waits for">
            <ul className="blockers">
              {blockers.map(({ bead_id, kind, status, open: isOpen }) => (
                <li key={`${kind} ${bead_id}`}>
                  <Mark group={isOpen ? groupOf(status ?? 'pending', 0) : 'done'} />
                  <button
                    type="button"
                    className="link mono cut"
                    title={bead_id}
                    onClick={() => open(bead_id)}
                  >
                    {bead_id}
                  </button>
                  <span className="dim whole">
                    {status?.replaceAll('_', ' ') ?? 'unknown'}
                    {kind === 'blocks' ? '' : `, ${kind}`}
                  </span>
                </li>
              ))}
            </ul>
          </Fact>
        )}
        {sessions.length > 0 && (
          <Fact name="cost">
            {dollars(cost)} in {sessions.length} {sessions.length === 1 ? 'session' : 'sessions'}
          </Fact>
        )}
        {bead.commit_hash !== undefined && (
          <Fact name="commit">
            <span className="mono" title={bead.commit_hash}>
              {bead.commit_hash.slice(0, SHORT)}
            </span>
          </Fact>
        )}
        <Fact name="verified">{bead.verification_status}</Fact>
        {bead.pr_url !== undefined && <Fact name="pull request">{bead.pr_url}</Fact>}
        {bead.finished_at !== undefined ? (
          <Fact name="finished">
            <Ago at={bead.finished_at} /> ago
          </Fact>
        ) : (
          bead.updated_at !== undefined && (
            <Fact name="changed">
              <Ago at={bead.updated_at} /> ago
            </Fact>
          )
        )}
      </dl>
      {bead.description !== undefined && bead.description !== '' && (
        <Text label="description" prose>
          {bead.description}
        </Text>
      )}
    </>
  )
}

interface AttemptsProps {
  readonly attempts: BeadContext['attempts']
  readonly evidence: readonly Evidence[]
}

function Attempts({ attempts, evidence }: AttemptsProps) {
  if (attempts.length === 0) return null
  return (
    <>
      <h3>Attempts</h3>
      <ol className="attempts">
        {attempts.toReversed().map((one) => (
          <li key={`${one.stage} ${one.attempt} ${one.started_at}`} className={one.status}>
            <p className="what">
              <b>{one.stage}</b> {one.attempt}
              <span className={`outcome ${one.status}`}>{one.status}</span>
              <span className="dim">
                agent {one.agent_id}, {span(one.duration_ms)}, <Ago at={one.started_at} /> ago
              </span>
            </p>
            {one.feedback !== undefined && (
              <Text label={`feedback of ${one.stage} ${one.attempt}`}>{one.feedback}</Text>
            )}
            {evidence
              .filter(({ stage, attempt }) => stage === one.stage && attempt === one.attempt)
              .map((item) => (
                <Gate key={item.artifact_id} evidence={item} />
              ))}
          </li>
        ))}
      </ol>
    </>
  )
}

/** What a gate said, and of which tree. */
function Gate({ evidence }: { readonly evidence: Evidence }) {
  const { metadata = {}, trust, content } = evidence
  const { exit_code, tree, command } = metadata
  return (
    <details className="gate">
      <summary>
        <Mark group={exit_code === 0 ? 'running' : exit_code === undefined ? 'done' : 'blocked'} />
        {exit_code === undefined ? 'gate' : `gate exited with ${exit_code}`}
        {tree !== undefined && (
          <>
            {' '}
            on tree <span className="mono">{tree.slice(0, SHORT)}</span>
          </>
        )}
        <span className="dim"> {trust === 'verified' ? 'run by swarm' : 'claimed by the agent'}</span>
      </summary>
      <Text label={`what the gate of ${evidence.stage} ${evidence.attempt} said`}>
        {content ?? command ?? 'nothing was kept'}
      </Text>
    </details>
  )
}

function Messages({ messages }: { readonly messages: BeadContext['messages'] }) {
  if (messages.length === 0) return null
  return (
    <Section title="Messages" note={messages.length}>
      {() => (
        <ol className="messages">
          {messages.toReversed().map((one) => (
            <li key={one.message_id}>
              <p className="dim">
                agent {one.from} to agent {one.to}, {one.message_type.replaceAll('_', ' ')},{' '}
                <Ago at={one.at} /> ago
              </p>
              {one.subject !== undefined && <b>{one.subject}</b>}
              <Text label={`message ${one.message_id}`} prose>
                {one.body}
              </Text>
            </li>
          ))}
        </ol>
      )}
    </Section>
  )
}

function SessionLogs({ sessions }: { readonly sessions: readonly Session[] }) {
  const [last] = sessions.toSorted((a, b) => b.queued_at.localeCompare(a.queued_at))
  if (!last) return null
  return (
    <Section
      title="Log"
      note={`${last.session_id}, ${last.stage} ${last.attempt}, ${last.reason ?? last.status}`}
    >
      {() => <Log session={last.session_id} version={`${last.turns} ${last.tool_calls} ${last.status}`} />}
    </Section>
  )
}

function Decisions({ decisions }: { readonly decisions: readonly LogEvent[] }) {
  if (decisions.length === 0) return null
  return (
    <Section title="Why it is where it is" note={decisions.length}>
      {() => (
        <ol className="decisions">
          {decisions.map((one) => (
            <li key={one.sequence}>
              <Ago at={one.timestamp} />
              <span>{one.event_type.replaceAll('_', ' ')}</span>
              <span className="dim">{toldOf(one.payload)}</span>
            </li>
          ))}
        </ol>
      )}
    </Section>
  )
}

/** What a payload says, in a line. */
function toldOf(payload: unknown): string {
  if (typeof payload !== 'object' || payload === null) return ''
  return Object.entries(payload)
    .filter(([, value]) => typeof value !== 'object')
    .map(([name, value]) => `${name.replaceAll('_', ' ')} ${value}`)
    .join(', ')
}
