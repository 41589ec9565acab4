import type { Totals, Verdict } from './checks.ts'
import type { IncidentReport } from './incident.ts'
import type { Style } from './style.ts'
import { seconds } from './view.ts'

export interface Outcome {
  readonly totals: Totals
  readonly verdict: Verdict
  readonly incident: IncidentReport | undefined
  readonly workedMs: number
  /** True when the agents were told to stop before all was done: the file was too long for a demo. */
  readonly cutShort: boolean
  /** What must not be: empty when all is well. */
  readonly problems: readonly string[]
}

/** What did not hold, in words; empty when everything did. */
export function findProblems(
  { lost, doubled, leases, miscounted }: Verdict,
  incident: IncidentReport | undefined,
  faults: readonly string[],
): string[] {
  const counted = {
    'lost beads': lost,
    'doubled beads': doubled,
    'leases left': leases,
    'wrong blocker counts': miscounted,
  }
  const wrong = Object.entries(counted).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`]))
  if (incident?.late_write !== undefined && incident.late_write !== 'CONFLICT') {
    wrong.push(`a late write under an old fence was answered ${incident.late_write}`)
  }
  return [...wrong, ...faults]
}

const LEFT = 'they wait for beads that are blocked or deferred'

/** The last lines of the demo: what happened, whether it holds, what to do next. */
export function summaryLines(outcome: Outcome, style: Style): string[] {
  const { totals, verdict, incident, workedMs, cutShort, problems } = outcome
  const { dot } = style.signs
  const rate = (count: number) => `${((count * 1_000) / Math.max(1, workedMs)).toFixed(1)}/s`
  const { lost, doubled, leases } = verdict
  const holds = `${lost} lost, ${doubled} doubled, ${leases} leases left`
  return [
    '',
    ` ${style.bold(`${totals.completed} beads finished in ${seconds(workedMs)}`)}`,
    ` ${totals.retried} stages retried ${dot} ${totals.blocked} beads blocked ${dot} ${totals.messages} messages`,
    ` ${totals.claims} claims (${rate(totals.claims)}) ${dot} ${totals.events} events (${rate(totals.events)})`,
    ...(totals.left === 0
      ? []
      : [` ${totals.left} beads are left: ${cutShort ? 'a demo ends after a while' : LEFT}`]),
    ...incidentLines(incident),
    '',
    problems.length === 0
      ? ` ${style.green(`${style.signs.done} ${holds}`)}${style.dim('  (asked of the database)')}`
      : ` ${style.red(`${style.signs.killed} ${holds}`)}`,
    ...problems.map((problem) => ` ${style.red(problem)}`),
    '',
    ` ${style.bold('Next, in a repository of your own:')}`,
    `   ${style.cyan('npm link && cd ~/your-repo')}   ${style.dim('swarm is on the PATH now')}`,
    `   ${style.cyan('swarm init --agents-md')}       ${style.dim('its database, agents 1 to 4, how to take part')}`,
    `   ${style.cyan('swarm import issues.jsonl')}    ${style.dim('then each agent: swarm claim-next --agent-id 1')}`,
    '',
  ]
}

function incidentLines(incident: IncidentReport | undefined): string[] {
  if (!incident) return [' no agent was killed: the backlog was too short']
  const { agent_id, bead_id, fence, taken_over_by, new_fence, late_write } = incident
  if (taken_over_by === undefined)
    return [` agent ${agent_id} was killed holding ${bead_id}; it was not taken over in time`]
  return [
    ` agent ${agent_id} was killed holding ${bead_id}: agent ${taken_over_by} took over, fence ${fence} became ${new_fence}`,
    ` the late write under fence ${fence} was ${late_write === 'accepted' ? 'accepted' : `refused (${late_write})`}`,
  ]
}
