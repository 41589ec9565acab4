import { beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'

const { sql } = await testDatabase()
let repos = 0

beforeAll(async () => {
  // swarm.run without the short ways
  const [run] = await sql`select pg_get_functiondef('swarm.run'::regproc) as def`
  await sql.unsafe(`create function swarm.no_way(text, jsonb, jsonb, text) returns jsonb language sql return null::jsonb;
    ${run?.def.replace('swarm.run(', 'swarm.run_long(').replaceAll(/swarm.(claim_ready|pass_last)/g, 'swarm.no_way')}`)
})

type Call = readonly [cmd: string, args: JsonObject, proc?: JsonObject]

/** The same by the way that clients take, or by the long one alone. */
async function answer(repo: string, [cmd, args, proc = {}]: Call, long: boolean) {
  const values = [repo, cmd, JSON.stringify(args), JSON.stringify({ holder: 'h', ...proc })]
  const [row] = await sql.unsafe(
    `select swarm.${long ? 'run_long' : 'run'}($1, $2, $3::text::jsonb, $4::text::jsonb, gen_random_uuid()::text, 'rid') as r`,
    values,
  )
  return row?.r
}

/** Everything that a repo's calls have written, but for times and numbers. */
async function written(repo: string) {
  const [row] = await sql`select
    (select jsonb_agg(to_jsonb(x) - '{seq,created_at}'::text[] order by seq) from swarm.execution_events x where repo_id = ${repo}) as events,
    (select jsonb_agg(to_jsonb(x) - '{id,started_at,completed_at,duration_ms}'::text[]
      || jsonb_build_object('open', completed_at is null, 'took', duration_ms >= 0) order by id)
      from swarm.stage_history x where repo_id = ${repo}) as history,
    (select jsonb_agg(to_jsonb(x) - '{id,created_at,updated_at,finished_at}'::text[] || jsonb_build_object('finished', finished_at is not null)
      order by bead_id) from swarm.bead_backlog x where repo_id = ${repo}) as beads,
    (select jsonb_agg(to_jsonb(x) - '{claimed_at,heartbeat_at,lease_expires_at}'::text[]
      || jsonb_build_object('lease', round(extract(epoch from lease_expires_at - claimed_at))) order by bead_id)
      from swarm.bead_claims x where repo_id = ${repo}) as claims,
    (select jsonb_agg(to_jsonb(x) - '{created_at,last_update,seen_at,stage_started_at}'::text[]
      || jsonb_build_object('seen', seen_at is not null, 'since', stage_started_at is not null) order by agent_id)
      from swarm.agent_state x where repo_id = ${repo}) as agents,
    (select jsonb_agg(to_jsonb(x) - '{seq,t,ms}'::text[] order by seq) from swarm.command_audit x where repo_id = ${repo}) as audit,
    (select count(*)::int from swarm.operations where repo_id = ${repo} and reply is not null) as keys`
  return JSON.parse(JSON.stringify(row).replaceAll(repo, 'repo'))
}

/** Both ways from the same start. Answers what both answered. */
async function both(stages: readonly string[], calls: readonly Call[]) {
  const sides = []
  for (const long of [false, true]) {
    const repo = `short-${++repos}-`
    await answer(repo, ['register', { count: 2 }], true)
    await sql`insert into swarm.workflows (repo_id, name) values (${repo}, 'w')`
    for (const [at, stage] of stages.entries())
      await sql`insert into swarm.workflow_stages (repo_id, name, stage, position) values (${repo}, 'w', ${stage}, ${at + 1})`
    const replies = []
    for (const call of calls) {
      const reply = await answer(repo, call, long)
      replies.push(
        ['claim-next', 'complete-stage'].includes(call[0]) &&
          JSON.parse(JSON.stringify(reply).replaceAll(repo, 'repo')),
      )
    }
    sides.push({ replies, ...(await written(repo)) })
  }
  expect(sides[0]).toEqual(sides[1])
  return sides[0]?.replies
}

const beads = (...ids: string[]): Call => [
  'enqueue',
  { beads: ids.map((bead_id) => ({ bead_id, title: `é "${bead_id}"`, labels: ['x', 'y'], workflow: 'w' })) },
]
const claim = (args: JsonObject = {}, proc: JsonObject = {}): Call => [
  'claim-next',
  { agent_id: 1, ...args },
  proc,
]
const pass = (args: JsonObject = {}, proc: JsonObject = {}): Call => [
  'complete-stage',
  { agent_id: 1, outcome: 'passed', ...args },
  proc,
]

test('one stage, one after the other', async () => {
  const replies = await both(['only'], [beads('a', 'b'), claim(), pass(), claim(), pass(), claim()])
  expect(replies?.at(-2)).toMatchObject({ d: { transition: 'finalize', stage: 'done' } })
})

test('what the request and the process say of bead, stage, fence and lease', async () => {
  await both(
    ['only'],
    [
      beads('a', 'b', 'c', 'd'),
      claim({ lease_ms: 5000 }),
      pass({ fence: 1, bead_id: 'a', stage: 'only' }),
      claim({}, { lease_ms: 60_000 }),
      pass({}, { fence: 1, bead_id: 'b', fenced: true }),
      claim(),
      pass({ fence: 2 }),
      pass({ bead_id: 'a' }),
      pass({ stage: 'other' }),
      pass({}, { holder: 'other', fenced: true }),
      pass({}, { fenced: true }),
    ],
  )
})

test('several stages, evidence, feedback and a role', async () => {
  await both(
    ['implement', 'last'],
    [
      beads('a', 'b', 'c'),
      claim(),
      pass(),
      pass({ evidence: [{ command: 'x', exit_code: 0, output: 'y' }] }),
      claim(),
      pass(),
      pass({ feedback: 'good', artifacts: [{ artifact_type: 'test_output', content: 'z' }] }),
      ['register', { name: 'n', role: 'reader' }],
      claim({ agent_id: 3 }),
      claim({ labels: ['no'] }),
      claim({ labels: ['x'] }),
    ],
  )
})

test('a bead that failed, was released, was reopened and was held already', async () => {
  const failed: Call = ['complete-stage', { agent_id: 1, outcome: 'failed', feedback: 'no' }, { keep: false }]
  await both(
    ['only'],
    [
      beads('a'),
      claim(),
      failed,
      claim(),
      ['release', { agent_id: 1 }],
      claim(),
      claim(),
      pass(),
      ['reopen', { bead_id: 'a' }],
      claim(),
      failed,
      claim(),
      failed,
      claim(),
      failed,
      claim(),
    ],
  )
})

test('dependants, mail and a lease that has run out', async () => {
  const replies = await both(
    ['only'],
    [
      ['enqueue', { beads: [{ bead_id: 'a', title: 'a', workflow: 'w' }] }],
      ['enqueue', { beads: [{ bead_id: 'b', title: 'b', workflow: 'w', depends_on: ['a'] }] }],
      ['broadcast', { from: 2, msg: 'all' }],
      claim(),
      pass(),
      ['inbox', { agent_id: 1 }],
      claim({ lease_ms: 1 }),
      ['send', { agent_id: 2, to: 1, message_type: 'coordination', subject: 's', body: 'one' }],
      claim({ agent_id: 2 }),
      pass({ agent_id: 2 }),
      claim(),
    ],
  )
  expect(replies?.[3]).toMatchObject({ d: { unread: 1 } })
  expect(replies?.[8]).toMatchObject({ d: { bead: { bead_id: 'b' }, fence: 2 } })
})

test('a gate, an unknown agent and a swarm that is paused', async () => {
  const gated: Call = ['complete-stage', { agent_id: 1, outcome: 'passed' }]
  const run = async () => both(['only'], [beads('a'), claim({ agent_id: 9 }), claim(), gated])
  await sql`update swarm.swarm_config set swarm_status = 'paused'`
  expect((await run())?.[2]).toMatchObject({ d: { bead: null, reason: 'paused' } })
  await sql`update swarm.swarm_config set swarm_status = 'running'`
  await sql.unsafe(`create function pg_temp.gate() returns trigger language plpgsql as
    $t$ begin new.gate := 'g'; new.gate_hash := repeat('0', 64); return new; end $t$;
    create trigger gates before insert on swarm.workflow_stages for each row execute function pg_temp.gate()`)
  expect((await run())?.[3]).toMatchObject({ refused: { code: 'CONFLICT', ctx: { stage: 'only' } } })
  await sql`drop trigger gates on swarm.workflow_stages`
})
