import type { AgentEvent } from '../src/agents/events.ts'
import { pick } from '../test/support/random.ts'
import { type Activity, type Course, EPOCH, HOUR, MINUTE, SECOND } from './sessions.ts'

type Random = () => number

/** Ways in which a silent tool shows that it works. */
export const ACTIVE = ['cpu', 'io', 'bursts', 'children'] as const

/** A course that is written step by step. Times are ms. */
class Draft {
  now = 0
  readonly events: { at: number; event: AgentEvent }[] = []
  readonly activities: Activity[] = []
  readonly changes: number[] = []
  readonly answers: { at: number; id: string }[] = []
  #calls = 0
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
    this.say({ kind: 'initialised' })
  }

  say(event: AgentEvent): void {
    this.events.push({ at: this.now, event })
  }

  between(least: number, most: number): number {
    return least + Math.floor(this.#random() * (most - least))
  }

  /** The model answers, in pieces or with nothing in between for less than what the rules allow. */
  think(): void {
    const end = this.now + this.between(5 * SECOND, 8 * MINUTE)
    if (this.#random() < 0.5) {
      this.now = Math.min(end, this.now + 4 * MINUTE)
    } else {
      while (this.now < end) {
        this.now += this.between(SECOND, 45 * SECOND)
        this.say({ kind: 'activity', what: 'answering' })
      }
    }
    this.say({ kind: 'output', from: 'answer', text: 'I go on.' })
  }

  /** Begins a tool; answers its id. */
  open(input: string): string {
    const id = `c${++this.#calls}`
    this.say({ kind: 'tool_started', id, name: 'shell', input })
    return id
  }

  close(id: string, output: string, ok = true): void {
    this.say({ kind: 'tool_ended', id, ok, output })
  }

  /** A tool that says nothing for so long. */
  silentTool(ms: number, kind: Activity['kind']): void {
    const from = this.now
    const id = this.open(`work ${this.#calls}`)
    const beside = this.#random() < 0.2 ? this.open('look') : undefined
    this.now += beside === undefined ? 0 : this.between(SECOND, 20 * SECOND)
    if (beside !== undefined) this.close(beside, 'seen')
    this.now = from + ms
    this.activities.push({ from, to: this.now, kind })
    this.close(id, `result ${this.#calls}`, this.#random() < 0.8)
  }

  turn(changes: boolean): void {
    this.say({ kind: 'turn_ended' })
    if (changes) this.changes.push(this.now)
  }

  done(): void {
    this.say({ kind: 'result', ok: true, reason: 'completed', detail: 'Done.' })
  }
}

/** Work as it should be: with one tool at least that is silent for 20 minutes and more, and all that may come between. */
export function healthy(random: Random): Course {
  const draft = new Draft(random)
  const steps = draft.between(3, 9)
  const long = draft.between(0, steps)
  for (let step = 0; step < steps; step++) {
    draft.think()
    const ms = step === long ? draft.between(20 * MINUTE, 29 * MINUTE) : draft.between(SECOND, 9 * MINUTE)
    draft.silentTool(ms, step === long || random() < 0.5 ? pick(ACTIVE, random) : 'none')
    if (random() < 0.08) waitForPerson(draft)
    if (random() < 0.08) waitForQuota(draft)
    draft.turn(random() < 0.5)
  }
  draft.done()
  const at = draft.between(0, draft.now)
  return {
    ...draft,
    end: draft.now,
    canSteer: random() < 0.5,
    tellsTools: true,
    jump: random() < 0.1 ? { at, by: random() < 0.5 ? HOUR : -HOUR } : undefined,
    frozen: random() < 0.1 ? { from: at, to: at + draft.between(2 * MINUTE, 40 * MINUTE) } : undefined,
  }
}

function waitForPerson(draft: Draft): void {
  const id = `q${draft.now}`
  draft.say({ kind: 'question', id, text: 'Which?', options: [] })
  draft.now += draft.between(MINUTE, 3 * HOUR)
  draft.answers.push({ at: draft.now, id })
  draft.now += draft.between(SECOND, 4 * MINUTE)
}

function waitForQuota(draft: Draft): void {
  const ms = draft.between(MINUTE, 2 * HOUR)
  draft.say({ kind: 'rate_limited', state: 'reached', until: EPOCH + draft.now + ms })
  draft.now += ms + draft.between(SECOND, 4 * MINUTE)
}

/** Ways to be stuck. */
export const STUCK = {
  'the model is silent': () => {},
  'a tool is open and nothing of it works': (draft: Draft) => {
    draft.open('wait for ever')
  },
  'a tool computes for ever': (draft: Draft, end: number) => {
    draft.activities.push({ from: draft.now, to: end, kind: 'cpu' })
    draft.open('compute for ever')
  },
  'the same error again and again': (draft: Draft, end: number) =>
    repeat(draft, end, (at) => [`try ${at}`, 'no such file', false]),
  'the same call with the same result': (draft: Draft, end: number) =>
    repeat(draft, end, () => ['ls', 'a b c', true]),
  'two calls in turn': (draft: Draft, end: number) =>
    repeat(draft, end, (at) => [at % 2 === 0 ? 'ls' : 'cat a', 'a', true]),
  'it talks and calls, and nothing changes': (draft: Draft, end: number) =>
    repeat(draft, end, (at) => [`look ${at}`, `seen ${at}`, true]),
} as const

export type WayToBeStuck = keyof typeof STUCK

function repeat(draft: Draft, end: number, call: (at: number) => [string, string, boolean]): void {
  for (let at = 0; draft.now < end; at++) {
    draft.now += draft.between(2 * SECOND, 30 * SECOND)
    const [input, output, ok] = call(at)
    const id = draft.open(input)
    draft.now += draft.between(SECOND, 10 * SECOND)
    draft.close(id, output, ok)
    draft.turn(false)
  }
}

/** A session that works at first and is stuck from `since` on, for hours; `comesBack`: it goes on when it is spoken to. */
export function stuck(
  random: Random,
  way: WayToBeStuck,
  comesBack: boolean,
): Course & { readonly since: number } {
  const draft = new Draft(random)
  for (let step = draft.between(1, 4); step > 0; step--) {
    draft.think()
    draft.silentTool(draft.between(SECOND, 9 * MINUTE), pick(ACTIVE, random))
    draft.turn(true)
  }
  const since = draft.now
  const end = since + 3 * HOUR
  STUCK[way](draft, end)
  const onSteer = (at: number) => {
    const back = new Draft(random)
    back.now = at + back.between(5 * SECOND, 4 * MINUTE)
    back.say({ kind: 'output', from: 'answer', text: 'I do it in another way.' })
    back.done()
    return back.events.slice(1)
  }
  return {
    ...draft,
    since,
    end,
    canSteer: comesBack || random() < 0.5,
    tellsTools: true,
    ...(comesBack ? { onSteer } : {}),
  }
}

/**
 * A program's stream, line by line as its dialogue reads it, at times of its own: the first tool that is open is silent for 20 minutes and more
 * before the line that ends it. A program that does not tell when a tool begins is as silent before the line that tells of one.
 */
export function fromStream(
  random: Random,
  lines: readonly (readonly AgentEvent[])[],
  tellsTools: boolean,
  kind: Activity['kind'],
): Course {
  const draft = new Draft(random)
  const open = new Set<string>()
  let begun = 0
  let wasLong = false
  for (const events of lines.filter(({ length }) => length > 0)) {
    const ends = events.some((event) => event.kind === 'tool_ended' && (open.has(event.id) || !tellsTools))
    draft.now +=
      ends && !wasLong
        ? draft.between(20 * MINUTE, 29 * MINUTE)
        : open.size > 0
          ? draft.between(SECOND, 5 * SECOND)
          : draft.between(SECOND, 4 * MINUTE)
    if (ends) draft.activities.push({ from: begun, to: draft.now, kind })
    wasLong ||= ends
    for (const event of events) {
      draft.say(event)
      if (event.kind === 'tool_started') {
        if (open.size === 0) begun = draft.now
        open.add(event.id)
      }
      if (event.kind === 'tool_ended') open.delete(event.id)
      // somebody answers at once
      if (event.kind === 'question' || event.kind === 'permission')
        draft.answers.push({ at: draft.now, id: event.id })
    }
    if (open.size === 0) {
      begun = draft.now
      wasLong = false
    }
  }
  return { ...draft, end: draft.now, canSteer: random() < 0.5, tellsTools }
}
