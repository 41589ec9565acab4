import type { AgentEvent } from '../src/agents/events.ts'
import type { AgentSession } from '../src/agents/session.ts'
import { answered, NEW_TRACK, prompted, track } from '../src/agents/tracking.ts'
import { STUCK_RULES } from '../src/core/liveness.ts'
import { LiveSession } from '../src/orchestrator/live-session.ts'
import type { LivenessSample } from '../src/process/index.ts'

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE

/** What the processes of a session do between two times, in ms from its start. */
export interface Activity {
  readonly from: number
  readonly to: number
  /** `cpu` and `io`: by the program itself, all the time; `bursts`: now and then; `children`: others that only wait; `none`: nothing. */
  readonly kind: 'cpu' | 'io' | 'bursts' | 'children' | 'none'
}

/** One simulated session. Times are ms from its start. */
export interface Course {
  readonly events: readonly { readonly at: number; readonly event: AgentEvent }[]
  readonly activities: readonly Activity[]
  /** When its tree or head changes. */
  readonly changes: readonly number[]
  /** When a person answers what it has asked. */
  readonly answers: readonly { readonly at: number; readonly id: string }[]
  readonly end: number
  readonly canSteer: boolean
  readonly tellsTools: boolean
  /** The wall clock jumps by so many ms. */
  readonly jump?: { readonly at: number; readonly by: number } | undefined
  /** The orchestrator stands still: it looks at nothing and reads nothing. */
  readonly frozen?: { readonly from: number; readonly to: number } | undefined
  /** Whether it comes back when it is spoken to: what it then does. */
  readonly onSteer?: ((at: number) => Course['events']) | undefined
}

export interface Fate {
  /** When and by which rule it was spoken to for the first time. */
  readonly steered: { readonly at: number; readonly rule: string } | undefined
  readonly ended: { readonly at: number; readonly rule: string } | undefined
}

const LOOK_MS = SECOND
/** What the wall clock shows at the start of a session. */
export const EPOCH = 1_800_000_000_000
const BURST_EVERY_MS = 4 * MINUTE

/** Plays a session against the very code that watches real ones, with a look a second, until it ends or is ended. */
export function play(course: Course): Fate {
  let now = 0
  let seen = NEW_TRACK
  const wall = () => EPOCH + now + (course.jump !== undefined && now >= course.jump.at ? course.jump.by : 0)
  const agent: AgentSession = {
    pid: 1,
    marker: 'simulated',
    events: (async function* () {})(),
    track: () => seen,
    send: () => {
      seen = prompted(seen)
      return true
    },
    answer: () => false,
    interrupt: () => false,
    end: () => Promise.reject(new Error('a simulated session has no end of its own')),
  }
  const live = new LiveSession('s', agent, course.canSteer, course.tellsTools, {
    now: () => now,
    wall,
    sample: (_marker, at) => measured(course, at),
  })
  const waiting = [...course.events]
  const answers = [...course.answers]
  const changes = [...course.changes]
  const hear = () => {
    while (waiting[0] && waiting[0].at <= now) {
      const [{ event: told }] = waiting.splice(0, 1) as [Course['events'][number]]
      const event =
        told.kind === 'rate_limited' && told.until !== undefined
          ? { ...told, until: told.until + wall() - EPOCH - now }
          : told
      seen = track(seen, event, wall())
      live.take(event)
    }
    while (answers[0] && answers[0].at <= now) seen = answered(seen, answers.shift()?.id ?? '')
  }
  let steered: Fate['steered']
  for (now = 0; now <= course.end; now += LOOK_MS) {
    const { frozen } = course
    const wakes = frozen !== undefined && now >= frozen.from && now < frozen.to
    if (wakes) now = frozen.to
    // after a standstill it may look before it has read what came meanwhile
    else hear()
    let changed = false
    while ((changes[0] ?? Number.POSITIVE_INFINITY) <= now) changed = changes.shift() !== undefined
    const { act, rule = '' } = live.look(STUCK_RULES, changed)
    hear()
    if (act === 'end') return { steered, ended: { at: now, rule } }
    if (act !== 'steer') continue
    steered ??= { at: now, rule }
    live.steer('')
    waiting.push(...(course.onSteer?.(now) ?? []))
  }
  return { steered, ended: undefined }
}

/** What its processes have used until then. */
function measured({ activities }: Course, at: number): LivenessSample {
  const [main, child] = [
    { pid: 1, start: 1, cpuTicks: 0, ioBytes: 0 },
    { pid: 2, start: 2, cpuTicks: 0, ioBytes: 0 },
  ]
  let children = false
  for (const { from, to, kind } of activities) {
    if (from > at) continue
    const past = Math.min(at, to) - from
    if (kind === 'cpu') main.cpuTicks += Math.floor(past / 20)
    if (kind === 'io') main.ioBytes += past
    if (kind === 'bursts') main.cpuTicks += Math.floor(past / BURST_EVERY_MS)
    if (kind === 'children') children ||= at <= to
  }
  return { atMs: at, processes: children ? [main, child] : [main] }
}
