import type { Facts, Need, Overview } from '../contract/run-rows.ts'
import { WARN } from './budget.ts'

/** A session that has been silent for so long is shown, before the rules of liveness do anything about it; in ms. */
const SILENT_MS = 300_000
/** A host that has not been heard for so long is shown; in ms. */
const HOST_SILENT_MS = 15_000

/** What waits for a person, worst first and oldest first within, and the whole in a few words. */
export function judge(facts: Facts): Pick<Overview, 'verdict' | 'needs_you'> {
  const needs_you = [
    ...ofRun(facts),
    ...ofQuestions(facts),
    ...ofHosts(facts),
    ...ofSessions(facts),
    ...ofBlocked(facts),
    ...ofBudgets(facts),
  ].sort((a, b) => RANK[a.level] - RANK[b.level])
  return { verdict: verdictOf(facts, needs_you), needs_you }
}

const RANK = { bad: 0, warning: 1 }

function verdictOf(facts: Facts, needs: readonly Need[]): Overview['verdict'] {
  const { run } = facts
  const held = quotaUntil(facts)
  if (run?.status === 'paused') return { level: 'bad', text: `paused: ${run.pause_reason ?? 'by a person'}` }
  if (run?.status === 'failed') return { level: 'bad', text: 'the run has failed' }
  if (needs.some(({ level }) => level === 'bad')) return { level: 'bad', text: needed(needs.length) }
  if (needs.length > 0) return { level: 'warning', text: needed(needs.length) }
  if (held) return { level: 'warning', text: `waits for quota of ${held.account} until ${held.until}` }
  if (run?.status === 'completed') return { level: 'good', text: `done: ${run.landed} landed` }
  if (run?.status === 'stopping') return { level: 'good', text: 'stopping: agents finish their turn' }
  if (run && run.ended_at === undefined) return { level: 'good', text: 'healthy' }
  const open = (facts.beads.pending ?? 0) + (facts.beads.in_progress ?? 0)
  if (open === 0) return { level: 'good', text: facts.beads.completed ? 'all done' : 'no beads yet' }
  return { level: 'good', text: facts.agents.busy > 0 ? 'healthy' : 'nobody works' }
}

function needed(count: number): string {
  return count === 1 ? '1 needs you' : `${count} need you`
}

/** The account that is out of quota for longest, when no session runs meanwhile. */
function quotaUntil({ quotas, sessions, as_of }: Facts) {
  if (sessions.some(({ status }) => status === 'running')) return undefined
  const out = quotas.filter(({ until }) => until !== undefined && until > as_of)
  return out.sort((a, b) => (a.until ?? '').localeCompare(b.until ?? '')).at(-1)
}

function ofRun({ run, leader, as_of }: Facts): Need[] {
  if (!run) return []
  const { run_id } = run
  if (run.status === 'paused')
    return [
      {
        kind: 'paused',
        level: 'bad',
        subject: run_id,
        title: `${run_id} is paused`,
        evidence: run.pause_reason ?? 'by a person',
        acts: [
          { cmd: 'unpause', run_id },
          { cmd: 'down', run_id },
        ],
      },
    ]
  if (run.status === 'failed')
    return [{ kind: 'failed', level: 'bad', subject: run_id, title: `${run_id} has failed`, acts: [] }]
  if (run.ended_at !== undefined || (leader && leader.until > as_of)) return []
  return [
    {
      kind: 'leader',
      level: 'bad',
      subject: run_id,
      title: `nobody leads ${run_id}`,
      evidence: 'swarm up --resume goes on with it',
      ...(leader ? { since: leader.until } : {}),
      acts: [{ cmd: 'down', run_id }],
    },
  ]
}

function ofQuestions({ questions }: Facts): Need[] {
  return questions.map(({ question_id, bead_id, question, options, asked_at }) => ({
    kind: 'question',
    level: 'bad',
    subject: question_id,
    ...(bead_id === undefined ? {} : { bead_id }),
    title: question,
    ...(options ? { options } : {}),
    since: asked_at,
    acts: [{ cmd: 'answer', question_id }],
  }))
}

function ofHosts({ hosts, run }: Facts): Need[] {
  if (!run || run.ended_at !== undefined) return []
  const heard = hosts.filter(({ silent_ms }) => silent_ms <= HOST_SILENT_MS)
  const drained = heard.length > 0 && heard.every(({ draining }) => draining) ? heard : []
  return [
    ...drained.map(drainedNeed),
    ...hosts
      .filter(({ silent_ms, draining }) => silent_ms > HOST_SILENT_MS && !draining)
      .map(({ host_id, name, silent_ms }) => ({
        kind: 'host' as const,
        level: 'warning' as const,
        subject: host_id,
        title: `host ${name} is silent`,
        evidence: `not heard for ${Math.round(silent_ms / 1_000)} s`,
        acts: [],
      })),
  ]
}

/** One that drains is as somebody wants it; when no other is left, nothing new is begun. */
function drainedNeed({ host_id, name }: Facts['hosts'][number]): Need {
  return {
    kind: 'host',
    level: 'warning',
    subject: host_id,
    title: `host ${name} is draining, and no other takes new sessions`,
    acts: [{ cmd: 'drain', host: host_id, off: true }],
  }
}

function ofSessions({ sessions }: Facts): Need[] {
  return sessions
    .filter(
      ({ status, quiet_ms, open_tool }) => status === 'running' && !open_tool && (quiet_ms ?? 0) > SILENT_MS,
    )
    .map(({ session_id, bead_id, agent_id, stage, quiet_ms, started_at }) => ({
      kind: 'stuck',
      level: 'warning',
      subject: session_id,
      bead_id,
      title: `agent ${agent_id} is silent at ${stage} of ${bead_id}`,
      evidence: `no sign of life for ${Math.round((quiet_ms ?? 0) / 60_000)} min, no tool open`,
      ...(started_at === undefined ? {} : { since: started_at }),
      acts: [
        { cmd: 'steer', session_id },
        { cmd: 'extend', session_id },
        { cmd: 'kill', session_id },
      ],
    }))
}

/** One that is used up has paused the run, which is told already. */
function ofBudgets({ budgets, run }: Facts): Need[] {
  if (!run || run.ended_at !== undefined || run.status === 'paused') return []
  return budgets
    .filter(({ used, limit }) => used >= WARN * limit)
    .map(({ kind, used, limit }) => ({
      kind: 'budget',
      level: 'warning',
      subject: kind,
      title: `${Math.floor((used / limit) * 100)} % of the budget ${kind} is used`,
      evidence: `${Math.round(used * 100) / 100} of ${limit}; the run pauses when it is used up`,
      acts: [
        { cmd: 'pause', run_id: run.run_id },
        { cmd: 'down', run_id: run.run_id },
      ],
    }))
}

function ofBlocked({ blocked }: Facts): Need[] {
  return blocked.map(({ bead_id, title, stage, attempt, feedback, since }) => ({
    kind: 'blocked',
    level: 'warning',
    subject: bead_id,
    bead_id,
    title,
    evidence: `${stage}, attempt ${attempt}${feedback ? `: ${feedback}` : ''}`,
    since,
    acts: [
      { cmd: 'reopen', bead_id },
      { cmd: 'cancel', bead_id },
    ],
  }))
}
