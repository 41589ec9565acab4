import { type Act, get, rpc, type Session } from './api.ts'
import { AsOf, Drawer, Fact, Section, useAnswer } from './drawer.tsx'
import { Log } from './log.tsx'
import { state, useTopic } from './store.ts'
import { Ago, dollars, span } from './time.tsx'

interface AgentProps {
  readonly id: number
  readonly act: (request: Act) => void
  readonly open: (bead: string) => void
  readonly close: () => void
}

interface Claims {
  readonly claims: readonly {
    readonly bead_id: string
    readonly lease_expires_at: string
    readonly fence: number
  }[]
}

/** An agent: what it holds and for how long, its session with log, and what it did before. */
export function AgentDrawer({ id, act, open, close }: AgentProps) {
  useTopic('agents')
  useTopic('overview')
  const agent = state.agents.find(({ agent_id }) => agent_id === id)
  const session = state.overview?.sessions.find(({ agent_id }) => agent_id === id)
  const version = `${agent?.status} ${agent?.bead_id} ${agent?.last_update}`
  const held = useAnswer<Claims>(() => rpc({ cmd: 'resume', agent_id: id }), String(id), version)
  const earlier = useAnswer<{ sessions: Session[] }>(
    () => get('/api/sessions', { agent: id, limit: 20 }),
    String(id),
    session?.session_id ?? 'none',
  )
  const [claim] = held.answer?.claims ?? []
  const before = (earlier.answer?.sessions ?? []).filter(({ ended_at }) => ended_at !== undefined)
  return (
    <Drawer label={`agent ${id}`} close={close} title={agent?.name ?? `agent ${id}`}>
      {!agent && <p className="problem">There is no agent {id}.</p>}
      <dl>
        <Fact name="status">{agent?.status}</Fact>
        <Fact name="role">{agent?.role ?? 'any'}</Fact>
        {agent && (
          <Fact name="last heard">
            <Ago at={agent.last_update} /> ago
          </Fact>
        )}
        {agent?.bead_id !== undefined && (
          <Fact name="holds">
            <button type="button" className="link mono" onClick={() => open(agent.bead_id ?? '')}>
              {agent.bead_id}
            </button>{' '}
            {agent.stage}
          </Fact>
        )}
        {claim && (
          <Fact name="lease">
            ends <Ago at={claim.lease_expires_at} />, fence {claim.fence}
          </Fact>
        )}
        {session && (
          <>
            <Fact name="session">
              <span className="mono">{session.session_id}</span> {session.adapter}, {session.status}
              {session.open_tool === undefined ? '' : `, in ${session.open_tool}`}
            </Fact>
            <Fact name="turns">
              {session.turns}, {session.tool_calls} tool calls
            </Fact>
            <Fact name="quiet">{session.quiet_ms === undefined ? undefined : span(session.quiet_ms)}</Fact>
            <Fact name="cost">{session.cost_usd === undefined ? undefined : dollars(session.cost_usd)}</Fact>
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
          <h3>Log</h3>
          <Log session={session.session_id} version={`${session.turns} ${session.tool_calls}`} />
        </>
      )}
      {before.length > 0 && (
        <Section title="Earlier sessions" note={before.length}>
          {() => (
            <ol className="decisions">
              {before.map((one) => (
                <li key={one.session_id}>
                  <Ago at={one.queued_at} />
                  <button type="button" className="link mono" onClick={() => open(one.bead_id)}>
                    {one.bead_id}
                  </button>
                  <span className="dim">
                    {one.stage} {one.attempt}, {one.reason}
                  </span>
                </li>
              ))}
            </ol>
          )}
        </Section>
      )}
      <AsOf at={held.at} />
    </Drawer>
  )
}
