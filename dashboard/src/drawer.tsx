import { type ReactNode, useEffect, useRef, useState } from 'react'
import { type Act, get, Refusal, rpc, type Shown } from './api.ts'
import { groupOf, Mark } from './status.tsx'
import { state, useTopic } from './store.ts'
import { Ago, span } from './time.tsx'

interface DrawerProps {
  readonly title: ReactNode
  readonly label: string
  readonly close: () => void
  readonly children: ReactNode
}

/** Beside the page, which stays live. */
function Drawer({ title, label, close, children }: DrawerProps) {
  const box = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    box.current?.show()
    const before = document.activeElement
    return () => {
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    <dialog ref={box} className="drawer" aria-label={label}>
      <h2>
        {title}
        <span className="grow" />
        <button type="button" onClick={close} aria-label="close">
          ×
        </button>
      </h2>
      <div className="scroll">{children}</div>
    </dialog>
  )
}

/** What the server answers to a read, read again when something of the topic has changed. */
function useAnswer<T>(read: () => Promise<T>, key: string): { answer?: T; problem?: string } {
  const [known, setKnown] = useState<{ key: string; answer?: T; problem?: string }>({ key: '' })
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key says what is read and when again
  useEffect(() => {
    let over = false
    read().then(
      (answer) => over || setKnown({ key, answer }),
      (error: unknown) =>
        over || setKnown({ key, problem: error instanceof Refusal ? error.message : String(error) }),
    )
    return () => {
      over = true
    }
  }, [key])
  return known
}

interface BeadProps {
  readonly id: string
  readonly act: (request: Act) => void
  readonly close: () => void
}

export function BeadDrawer({ id, act, close }: BeadProps) {
  useTopic('beads')
  const bead = state.beads.get(id)
  const version = bead ? `${bead.status} ${bead.stage} ${bead.attempt}` : ''
  const path = encodeURIComponent(id)
  const { answer, problem } = useAnswer<Shown>(() => get(`/api/beads/${path}`), `${id} ${version}`)
  const why = useAnswer<Record<string, unknown>>(
    () => get(`/api/beads/${path}/explain`),
    `why ${id} ${version}`,
  )
  const group = bead ? groupOf(bead.status, bead.open_blockers) : 'waiting'
  return (
    <Drawer
      label={`bead ${id}`}
      close={close}
      title={
        <>
          <Mark group={group} />
          <span className="mono">{id}</span>
        </>
      }
    >
      {problem !== undefined && <p className="problem">{problem}</p>}
      <p className="title">{bead?.title ?? answer?.bead.title}</p>
      <p className="acts">
        {actsOf(id, bead?.status).map((request) => (
          <button key={request.cmd} type="button" onClick={() => act(request)}>
            {request.cmd}
          </button>
        ))}
      </p>
      {answer && <BeadFacts shown={answer} />}
      {why.answer && <Explained why={why.answer} />}
    </Drawer>
  )
}

function actsOf(bead_id: string, status: string | undefined): readonly Act[] {
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

function BeadFacts({ shown }: { readonly shown: Shown }) {
  const { bead, claim, blockers = [], attempts = [], artifacts = [] } = shown
  return (
    <>
      <dl>
        <dt>status</dt>
        <dd>{bead.status}</dd>
        <dt>stage</dt>
        <dd>
          {bead.stage}, attempt {bead.attempt}
        </dd>
        <dt>priority</dt>
        <dd>{bead.priority}</dd>
        {claim && (
          <>
            <dt>held by</dt>
            <dd>
              agent {claim.agent_id}, lease ends in <Ago at={claim.lease_expires_at} />
            </dd>
          </>
        )}
        {bead.labels.length > 0 && (
          <>
            <dt>labels</dt>
            <dd>{bead.labels.join(', ')}</dd>
          </>
        )}
        {bead.commit_hash !== undefined && (
          <>
            <dt>commit</dt>
            <dd className="mono">{bead.commit_hash.slice(0, 12)}</dd>
          </>
        )}
        {bead.verification_status !== undefined && (
          <>
            <dt>verified</dt>
            <dd>{bead.verification_status}</dd>
          </>
        )}
        {blockers.length > 0 && (
          <>
            <dt>waits for</dt>
            <dd>
              {blockers.map((one) => `${one.bead_id}${one.status ? ` (${one.status})` : ''}`).join(', ')}
            </dd>
          </>
        )}
      </dl>
      {bead.description !== undefined && bead.description !== '' && (
        <pre className="text">{bead.description}</pre>
      )}
      {bead.feedback !== undefined && (
        <>
          <h3>Feedback</h3>
          <pre className="text">{bead.feedback}</pre>
        </>
      )}
      {attempts.length > 0 && <h3>Attempts</h3>}
      <ol className="attempts">
        {attempts.map((attempt) => (
          <li key={`${attempt.stage} ${attempt.attempt} ${attempt.started_at}`} className={attempt.status}>
            <b>{attempt.stage}</b> {attempt.attempt} {attempt.status} by #{attempt.agent_id}{' '}
            <span className="dim">
              <Ago at={attempt.started_at} /> ago, took {span(attempt.duration_ms)}
            </span>
            {attempt.feedback !== undefined && <pre className="text">{attempt.feedback}</pre>}
          </li>
        ))}
      </ol>
      {artifacts.length > 0 && (
        <>
          <h3>Artifacts</h3>
          <ul>
            {artifacts.map((one) => (
              <li key={`${one.stage} ${one.artifact_type} ${one.bytes}`}>
                {one.artifact_type}{' '}
                <span className="dim">{`${one.stage}, ${one.trust}, ${one.bytes} bytes`}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  )
}

function Explained({ why }: { readonly why: Record<string, unknown> }) {
  return (
    <details>
      <summary>Why it is where it is</summary>
      <pre className="text">{JSON.stringify(why, null, 2)}</pre>
    </details>
  )
}

interface AgentProps {
  readonly id: number
  readonly act: (request: Act) => void
  readonly open: (bead: string) => void
  readonly close: () => void
}

export function AgentDrawer({ id, act, open, close }: AgentProps) {
  useTopic('agents')
  useTopic('overview')
  const agent = state.agents.find(({ agent_id }) => agent_id === id)
  const session = state.overview?.sessions.find(({ agent_id }) => agent_id === id)
  return (
    <Drawer label={`agent ${id}`} close={close} title={agent?.name ?? `agent ${id}`}>
      <dl>
        <dt>status</dt>
        <dd>{agent?.status ?? 'unknown'}</dd>
        <dt>role</dt>
        <dd>{agent?.role ?? 'any'}</dd>
        {agent?.bead_id !== undefined && (
          <>
            <dt>holds</dt>
            <dd>
              <button type="button" className="link mono" onClick={() => open(agent.bead_id ?? '')}>
                {agent.bead_id}
              </button>{' '}
              {agent.stage}
            </dd>
          </>
        )}
        {session && (
          <>
            <dt>session</dt>
            <dd>
              {session.session_id}, {session.adapter}, {session.status}
              {session.open_tool === undefined ? '' : `, in ${session.open_tool}`}
            </dd>
            <dt>turns</dt>
            <dd>
              {session.turns}, {session.tool_calls} tool calls
            </dd>
            {session.quiet_ms !== undefined && (
              <>
                <dt>quiet</dt>
                <dd>{span(session.quiet_ms)}</dd>
              </>
            )}
          </>
        )}
      </dl>
      {session && (
        <>
          <p className="acts">
            {['steer', 'extend', 'kill'].map((cmd) => (
              <button key={cmd} type="button" onClick={() => act({ cmd, session_id: session.session_id })}>
                {cmd}
              </button>
            ))}
          </p>
          <Log session={session.session_id} version={`${session.turns} ${session.tool_calls}`} />
        </>
      )}
    </Drawer>
  )
}

/** The end of a session's log. */
function Log({ session, version }: { readonly session: string; readonly version: string }) {
  const { answer } = useAnswer<{ logs: { text?: string }[] }>(
    () => rpc({ cmd: 'logs', session_id: session, limit: 200 }),
    `${session} ${version}`,
  )
  const text = answer?.logs.map((one) => one.text ?? '').join('') ?? ''
  return (
    <>
      <h3>Log</h3>
      <pre className="text log">{text === '' ? 'nothing yet' : text.slice(-8_000)}</pre>
    </>
  )
}
