import { afterAll, describe, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { Crew } from '../torture/crew.ts'
import { type Halt, type Halts, makeHalts, type Step } from '../torture/halts.ts'
import { wrongWith } from '../torture/landed.ts'
import { makeYard, type Running, type Yard } from './support.ts'

/** How the leader ends at a step, and what becomes of the program that stood still there. */
interface Blow {
  readonly name: string
  readonly step: Step
  readonly leader: 'killed' | 'frozen'
  /** `dies` with the leader, goes on `soon`, or `late`: when the next leader has landed something. */
  readonly program: 'dies' | 'soon' | 'late'
}

const SHA = '[0-9a-f][0-9a-f][0-9a-f][0-9a-f]*'
const STEPS = {
  rebase: { at: 'git-before', words: '* rebase --quiet *' },
  rebased: { at: 'git-after', words: '* rebase --quiet *' },
  candidate: { at: 'row', status: 'testing' },
  gate: { at: 'gate' },
  verdict: { at: 'row', status: 'green' },
  push: { at: 'git-before', words: '* push --porcelain *' },
  receiving: { at: 'pre-receive' },
  received: { at: 'post-receive' },
  merge: { at: 'git-before', words: `* merge --ff-only --quiet ${SHA}` },
  checkout: { at: 'checkout' },
  merged: { at: 'git-after', words: `* merge --ff-only --quiet ${SHA}` },
  row: { at: 'row', status: 'landed' },
  tidy: { at: 'git-before', words: '* worktree move */worktrees/b*' },
  removal: { at: 'git-before', words: '* worktree remove /*' },
  tidied: { at: 'git-before', words: '* update-ref -d refs/heads/swarm/*' },
} as const satisfies Record<string, Step>

const blow = (name: keyof typeof STEPS, leader: Blow['leader'], program: Blow['program']): Blow => ({
  name,
  step: STEPS[name],
  leader,
  program,
})

/** Every step, killed in two ways; frozen where something outside of the process goes on meanwhile. */
const ALL = Object.entries(STEPS).flatMap(([name, step]): Blow[] => [
  { name, step, leader: 'killed', program: 'dies' },
  { name, step, leader: 'killed', program: 'soon' },
  ...(step.at === 'row' || step.at === 'checkout'
    ? []
    : [
        { name, step, leader: 'killed', program: 'late' } as const,
        { name, step, leader: 'frozen', program: 'late' } as const,
      ]),
])

/** Groups run beside each other, as most of the time is spent waiting for the next leader. `npm run torture -- up` runs all. */
const GROUPS: Record<string, readonly Blow[]> =
  process.env.TORTURE_SECONDS === undefined
    ? {
        built: [
          blow('rebased', 'killed', 'dies'),
          blow('gate', 'killed', 'soon'),
          blow('receiving', 'killed', 'late'),
          blow('checkout', 'killed', 'dies'),
          blow('merge', 'frozen', 'late'),
        ],
        written: [
          blow('candidate', 'killed', 'soon'),
          blow('verdict', 'killed', 'dies'),
          blow('received', 'killed', 'late'),
          blow('merged', 'killed', 'dies'),
          blow('row', 'killed', 'soon'),
          blow('removal', 'killed', 'dies'),
        ],
      }
    : { even: ALL.filter((_, at) => at % 2 === 0), odd: ALL.filter((_, at) => at % 2 === 1) }

const databases = new Map(
  await Promise.all(Object.keys(GROUPS).map(async (group) => [group, await testDatabase()] as const)),
)
const opened: { readonly yard: Yard; readonly halts: Halts; readonly crew: Crew }[] = []
afterAll(async () => {
  for (const { yard, halts, crew } of opened) {
    await crew.killAll()
    await halts.close()
    yard.scratch.remove()
  }
})

describe('a leader that ends in the middle of a landing', () => {
  test.concurrent.each(Object.entries(GROUPS))(
    'leaves nothing that the next one does not finish: %s',
    async (group, blows) => {
      const database = databases.get(group)
      if (!database) throw new Error(`there is no database for ${group}`)
      const halts = makeHalts()
      const yard = await makeYard(database, {
        repo: group,
        gate: halts.gate,
        oneStage: true,
        env: halts.env,
        script: { pace_ms: 50 },
      })
      const crew = new Crew(yard, database.sql)
      opened.push({ yard, halts, crew })
      await halts.install(yard, database.url)
      await crew.start('implementer=2')
      for (const one of blows) {
        const { led, landed } = await strike(one, crew, halts)
        const { name, leader, program } = one
        process.stderr.write(
          `${name}, leader ${leader}, program ${program}: next leader after ${led} ms, next landing after ${landed} ms\n`,
        )
        expect(landed, name).toBeLessThan(30_000)
      }
      crew.enough()
      await halts.disarm()
      await crew.over()
      expect(await wrongWith(yard, database.sql, halts.tmp)).toEqual([])
    },
    60_000 + ALL.length * 20_000,
  )
})

/** Ends the leader at a step; answers after how many ms there was another one, and after how many it had landed something. */
async function strike({ name, step, leader: how, program }: Blow, crew: Crew, halts: Halts) {
  const running = async () => {
    const paused = await crew.isPaused()
    if (paused !== undefined) throw new Error(`at ${name} the run is paused: ${paused}`)
  }
  const caught = async (): Promise<{ halt: Halt; leader: Running }> => {
    await halts.arm(step)
    const halt = await come(`a landing at ${name}`, crew, async () => {
      await running()
      return halts.hit()
    })
    const leader = await crew.leader()
    if (leader && (step.at === 'row' || crew.above(halt.pid) === leader)) return { halt, leader }
    // of a process that leads no more, or of a session
    await halt.release()
    return caught()
  }
  const { halt, leader } = await caught()
  const place = await crew.place()
  const at = performance.now()
  if (how === 'killed') await crew.kill(leader)
  else leader.child.kill('SIGSTOP')
  if (program === 'dies') await halt.kill()
  if (program === 'soon') await halt.release()
  if (how === 'killed') crew.join()
  const changed = await come('another leader', crew, () => crew.after(place, ['leader_changed']))
  const led = Math.round(performance.now() - at)
  await come('a landing', crew, async () => {
    await running()
    return crew.landing(changed.seq)
  })
  const landed = Math.round(performance.now() - at)
  if (program === 'late') await halt.release()
  if (how === 'frozen') leader.child.kill('SIGCONT')
  return { led, landed }
}

/** Waits for something, at most so long that no fault explains it. */
async function come<T>(what: string, crew: Crew, look: () => Promise<T | undefined>): Promise<T> {
  for (const until = performance.now() + 60_000; performance.now() < until; ) {
    const found = await look()
    if (found !== undefined) return found
    await new Promise((done) => setTimeout(done, 20))
  }
  throw new Error(`${what} does not come:\n${await crew.lookBack()}`)
}
