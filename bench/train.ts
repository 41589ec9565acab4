import { median, type Section } from './measure.ts'
import type { BenchServer } from './server.ts'
import { makeYard, type Yard } from './yard.ts'

const CANDIDATES = 32
const GATE_SECONDS = 2
const ROUNDS = 3

/** How long a backlog of finished beads takes to land: by the train, and one at a time. */
export async function benchTrain(fresh: () => Promise<BenchServer>): Promise<Section> {
  const [train, single]: [number[], number[]] = [[], []]
  for (let round = 0; round < ROUNDS; round++) {
    const server = await fresh()
    // alternately, so that what else the machine does falls on both
    train.push(await landAll(server, `train-${round}`, undefined))
    single.push(await landAll(server, `single-${round}`, 1))
  }
  const ratios = single.map((took, round) => took / (train[round] ?? Number.NaN))
  const perBead = (took: readonly number[]) =>
    `${(median(took) / 1_000).toFixed(1)} s, ${(median(took) / CANDIDATES / 1_000).toFixed(2)} s a bead`
  const ratio = median(single) / median(train)
  return {
    title: 'The landing train',
    how: `${CANDIDATES} finished beads, each a commit of its own on the same base, gates of ${GATE_SECONDS} s (\`sleep ${GATE_SECONDS}\`), from the first look to the last landing; median of ${ROUNDS} rounds run alternately (ratios of the rounds: ${ratios.map((one) => one.toFixed(2)).join(', ')})`,
    rows: [
      { what: 'one at a time (`window = 1`)', value: perBead(single) },
      {
        what: 'the train (2 at first, at most 8)',
        value: perBead(train),
        against: 'one at a time',
        ratio: ratio.toFixed(2),
        goal: '≥ 3',
        met: ratio >= 3,
      },
    ],
  }
}

/** Ms from the start of the run to its last landing. */
async function landAll(server: BenchServer, repo: string, window: number | undefined): Promise<number> {
  const yard = await makeYard(server, repo, [
    '[[workflows.default.stages]]',
    'name = "implement"',
    `gate = ["sleep", "${GATE_SECONDS}"]`,
    '[landing]',
    'target = "main"',
    ...(window === undefined ? [] : [`window = ${window}`]),
    '[agents.default]',
    'adapter = "demo"',
  ])
  try {
    await finishBeads(yard)
    const { landed } = await yard.up('--agents', 'implementer=1').ended
    if (landed !== CANDIDATES) throw new Error(`${landed} of ${CANDIDATES} have landed`)
    const [row] = await yard.sql<{ ms: number }[]>`
      select extract(epoch from max(l.at) - max(r.started_at))::float8 * 1000 as ms
      from swarm.landings l join swarm.swarm_runs r on r.repo_id = l.repo_id and r.run_id = l.run_id
      where l.repo_id = ${repo} and l.status = 'landed'`
    return row?.ms ?? Number.NaN
  } finally {
    yard.remove()
  }
}

/** Beads whose work is done: each with a commit, waiting for the train. */
async function finishBeads({ scratch, sql, repo }: Yard): Promise<void> {
  const base = scratch.git(['rev-parse', 'main'])
  const commits: string[] = []
  scratch.git(['checkout', '--quiet', '--detach'])
  for (let at = 0; at < CANDIDATES; at++) {
    commits.push(scratch.commit(`file-${at}.txt`, `the work of bead ${at}\n`))
    scratch.git(['update-ref', `refs/swarm/candidate/b${at}/1`, commits.at(-1) ?? ''])
    scratch.git(['reset', '--quiet', '--hard', base])
  }
  scratch.git(['checkout', '--quiet', 'main'])
  await sql`insert into swarm.bead_backlog (repo_id, bead_id, title, workflow, stage, priority, commit_hash)
    select ${repo}, 'b' || n, 'bead ' || n, 'default', 'land', 'p2', commit
    from unnest(${commits}::text[]) with ordinality x(commit, n)`
}
