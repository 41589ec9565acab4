import type { LiveSession } from './live-session.ts'

/** A person's answer, as the agent reads it. */
export function answerText(question: string, answer: string): string {
  return `The answer to the question "${question}": ${answer}`
}

/** What people have answered to earlier sessions of the bead, a line each; null when they have not. */
export function answersOf({ answers }: StartAnswer): string | null {
  return answers.map(({ question, answer }) => answerText(question, answer)).join('\n') || null
}

/** Why a session is to end before its program has given a result. */
export interface Stop {
  readonly reason: string
  readonly rule?: string
  readonly evidence: string
}

/** All that is needed to carry an order out, as the database answers it. */
export interface StartAnswer {
  readonly started: boolean
  readonly agent_id: number
  readonly fence: number
  readonly role: string
  readonly run_id: string
  readonly adapter: string
  readonly account: string
  /** The conversation that this session goes on with; null: it begins one. */
  readonly resume: {
    readonly native_id: string
    readonly workspace: string | null
    /** The session whose HOME holds it. */
    readonly begun_by: string
  } | null
  readonly bead: {
    readonly bead_id: string
    readonly title: string
    readonly description: string
    readonly workflow: string
    readonly bead_type: string
    readonly labels: readonly string[]
    readonly priority: string
  }
  readonly stage: string
  readonly attempt: number
  readonly feedback: string | null
  /** To questions of earlier sessions that had ended when they were answered. */
  readonly answers: readonly { readonly question: string; readonly answer: string }[]
  readonly commit_hash: string | null
}

/** How a session is told to end, by whoever runs it. */
export interface Control {
  readonly signal: AbortSignal
  stopped(): Stop | undefined
  atTurn(): Stop | undefined
  stop(why: Stop): void
  onLive(live: LiveSession): void
}
