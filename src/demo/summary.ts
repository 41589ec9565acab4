import type { Check } from './checks.ts'
import type { KilledAgent, KilledLeader } from './story.ts'
import type { Style } from './style.ts'
import { seconds } from './view.ts'

export interface Outcome {
  readonly landed: number
  readonly sessions: number
  readonly retried: number
  readonly blocked: number
  readonly left: number
  readonly workedMs: number
  readonly agent: KilledAgent | undefined
  readonly leader: KilledLeader | undefined
  readonly checks: readonly Check[]
  /** What else went wrong. */
  readonly faults: readonly string[]
}

/** What must not be, in words; empty when all is well. */
export function findProblems({ checks, faults }: Pick<Outcome, 'checks' | 'faults'>): string[] {
  return [...checks.filter(({ ok }) => !ok).map(({ name, told }) => `${name}: ${told}`), ...faults]
}

/** The last lines of the demo: what happened, whether it holds, what to do next. */
export function summaryLines(outcome: Outcome, style: Style): string[] {
  const { landed, sessions, retried, blocked, left, workedMs, checks, faults } = outcome
  const { signs } = style
  const sign = (ok: boolean) => (ok ? style.green(signs.done) : style.red(signs.killed))
  return [
    '',
    ` ${style.bold(`${landed} beads landed in ${seconds(workedMs)}`)}  ${style.dim(`${sessions} sessions ${signs.dot} ${retried} stages retried ${signs.dot} ${blocked} beads blocked`)}`,
    ...(left === 0 ? [] : [` ${left} beads are left: they wait for beads that are blocked or deferred`]),
    ...killedLines(outcome).map((line) => ` ${line}`),
    '',
    ...checks.map(({ name, ok, told }) => ` ${sign(ok)} ${name.padEnd(9)} ${ok ? told : style.red(told)}`),
    ...faults.map((fault) => ` ${style.red(`${signs.killed} ${fault}`)}`),
    '',
    ` ${style.bold('Next, in a repository of your own:')}`,
    `   ${style.cyan('npm link && cd ~/your-repo')}   ${style.dim('swarm is on the PATH now')}`,
    `   ${style.cyan('swarm init')}                   ${style.dim('then name agents and gates')}`,
    `   ${style.cyan('swarm import issues.jsonl')}    ${style.dim('then: swarm up')}`,
    '',
  ]
}

function killedLines({ agent, leader }: Outcome): string[] {
  return [
    agent
      ? `agent ${agent.agent_id} was killed at ${agent.bead_id}: its next attempt went on`
      : 'no agent was killed: too few beads, or no way to find its process',
    leader
      ? `the leader was killed in term ${leader.term}: the stand-by led ${seconds(leader.after_ms)} later, in term ${leader.next_term}`
      : 'the leader was not killed: too few beads',
  ]
}
