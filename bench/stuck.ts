import { seeded } from '../test/support/random.ts'
import { ACTIVE, fromStream, healthy, STUCK, stuck, type WayToBeStuck } from './courses.ts'
import { quantile, type Row, type Section } from './measure.ts'
import { type Fate, MINUTE, play } from './sessions.ts'
import { type AgentStream, recorded, written } from './streams-of-agents.ts'

const SESSIONS = 1_000
const SEED = 4711
const TIMES_A_STREAM = 25

const option = (name: string) => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? undefined : process.argv[at + 1]
}

/** How often the rules of liveness end a session that works, and how soon they end one that does not. No time passes. */
export async function benchStuck(): Promise<Section> {
  const seed = Number(option('seed') ?? SEED)
  const streams = option('streams')
  const random = seeded(seed)
  const working = Array.from({ length: SESSIONS }, () => play(healthy(random)))
  const back = Array.from({ length: SESSIONS / 10 }, () => play(stuck(random, 'the model is silent', true)))
  const rows: Row[] = [
    falseKills(`simulated sessions with a tool that is silent for 20 to 29 min and works`, working),
    falseKills('simulated sessions that go on when they are spoken to', back),
    ofStreams('streams written for the project', written(), random),
    ...(streams === undefined
      ? []
      : [ofStreams('recorded streams of real programs', recorded(streams), random)]),
  ]
  const ways = Object.keys(STUCK) as WayToBeStuck[]
  const each = Math.ceil(SESSIONS / ways.length)
  let [found, all] = [0, 0]
  const kinds = ways.map((way): Row => {
    const fates = Array.from({ length: each }, () => {
      const course = stuck(random, way, false)
      const { ended } = play(course)
      return ended === undefined ? undefined : (ended.at - course.since) / MINUTE
    })
    const times = fates.filter((one) => one !== undefined)
    found += times.length
    all += each
    return {
      what: `stuck: ${way}`,
      value: `${times.length} of ${each} ended`,
      against: `after ${quantile(times, 0.5).toFixed(1)} min (median), ${Math.max(...times).toFixed(1)} min (longest)`,
    }
  })
  return {
    title: 'Silence is not stuck',
    how: `the code that watches real sessions (LiveSession, rules of src/core/liveness.ts by default), a look a second under a clock of its own, seed ${seed}. Silent tools show one of: CPU of the program, bytes of it, 10 ms of CPU every 4 min, a child that only waits. A tenth of the sessions meets a clock that jumps by an hour (what is said of quota is by that clock), a tenth an orchestrator that stands still for 2 to 40 min, some wait for a person or for quota for up to 3 h. Each stream ${TIMES_A_STREAM} times, its first tool silent for 20 to 29 min. Of stuck sessions one half cannot be spoken to and is ended at once, the other 5 min later`,
    rows: [
      ...rows,
      { what: 'stuck sessions found', value: `${found} of ${all}`, goal: 'all', met: found === all },
      ...kinds,
    ],
  }
}

function falseKills(what: string, fates: readonly Fate[]): Row {
  const ended = fates.filter((fate) => fate.ended)
  const steered = fates.filter((fate) => fate.steered)
  const rules = [...new Set(ended.map((fate) => fate.ended?.rule))].join(', ')
  return {
    what,
    value: `${ended.length} of ${fates.length} ended${rules === '' ? '' : ` (${rules})`}, ${steered.length} spoken to`,
    goal: '0 ended',
    met: ended.length === 0,
  }
}

function ofStreams(what: string, streams: readonly AgentStream[], random: () => number): Row {
  const fates = streams.flatMap(({ lines, tellsTools }) =>
    Array.from({ length: TIMES_A_STREAM }, (_, at) =>
      play(fromStream(random, lines, tellsTools, ACTIVE[at % ACTIVE.length] ?? 'cpu')),
    ),
  )
  return falseKills(`${streams.length} ${what}`, fates)
}
