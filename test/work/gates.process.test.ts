import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Envelope } from '../../src/contract/envelope.ts'
import { gateHash } from '../../src/contract/gates.ts'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { storeGate, writeGates } from '../support/gates.ts'
import { runSwarm } from '../support/swarm.ts'

// each test starts several processes, which takes long where both cores are busy
vi.setConfig({ testTimeout: 120_000 })

const { sql, url } = await testDatabase()
const top = realpathSync(mkdtempSync(join(tmpdir(), 'swarm-gates-')))
afterAll(() => rmSync(top, { recursive: true, force: true }))

let repos = 0
let repo = ''
let mine = ''
let theirs = ''
beforeEach(() => {
  repo = `shared-${++repos}`
  mine = join(top, repo, 'mine')
  theirs = join(top, repo, 'theirs')
  for (const dir of [mine, theirs]) mkdirSync(dir, { recursive: true })
})

/** A request of a process of its own in a directory. */
async function at(dir: string, request: JsonObject, env: Record<string, string> = {}): Promise<Envelope> {
  const { cmd, ...rest } = request
  const { envelopes, stderr } = await runSwarm([String(cmd), '--json', JSON.stringify(rest)], {
    env: { DATABASE_URL: url, ...env },
    cwd: dir,
  })
  const [envelope] = envelopes
  if (!envelope) throw new Error(`${cmd} answered nothing: ${stderr}`)
  return envelope
}

async function ok(dir: string, request: JsonObject, env: Record<string, string> = {}): Promise<JsonObject> {
  const envelope = await at(dir, request, env)
  if (!envelope.ok) throw new Error(`${JSON.stringify(request)} answered ${JSON.stringify(envelope)}`)
  // every verb of these tests answers an object
  return envelope.d as JsonObject
}

/** A root with a gate of the first stage, entered in the database, with one agent and the bead `api`. */
async function root(gate: readonly string[]): Promise<void> {
  writeGates(mine, { contract: gate }, `repo = "${repo}"`)
  await ok(mine, { cmd: 'init-db' })
  await ok(mine, { cmd: 'register', count: 2 })
  await ok(mine, { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] })
}

async function bead() {
  const [row] = await sql`select status, stage, attempt, verification_status from swarm.bead_backlog
    where repo_id = ${repo} and bead_id = 'api'`
  return row
}
/** True when the bead waits for its first attempt. */
async function untouched(id: string): Promise<boolean> {
  const [row] = await sql`select b.status, b.attempt, b.feedback, swarm.next_attempt(b, b.stage) as next
    from swarm.bead_backlog b where repo_id = ${repo} and bead_id = ${id}`
  return row?.status === 'pending' && row.attempt === 1 && row.feedback === null && row.next === 1
}
const stored = () =>
  sql`select stage, gate, gate_hash from swarm.workflow_stages where repo_id = ${repo} order by position`

function script(file: string, body: string): string {
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, `#!/bin/sh\n${body}\n`)
  chmodSync(file, 0o755)
  return file
}

const work = { cmd: 'work', agent_id: 1, command: ['true'] }

describe('two roots in one database', () => {
  test('the database holds the name and the hash of a gate, and its words nowhere', async () => {
    await root(['/bin/sh', '-c', 'echo words-of-the-gate'])
    const [first] = await stored()
    expect(first).toMatchObject({
      gate: 'sh',
      gate_hash: gateHash(['/bin/sh', '-c', 'echo words-of-the-gate']),
    })
    for (const table of ['workflow_stages', 'operations', 'command_audit', 'execution_events']) {
      const found = await sql.unsafe(
        `select 1 from swarm.${table} x where x::text like '%words-of-the-gate%'`,
      )
      expect(found, table).toHaveLength(0)
    }
  })

  test('whoever joins does not change the gates of the owner, and is told that its own differ', async () => {
    await root(['true'])
    const before = await stored()
    const ran = join(top, `ran-${repo}`)
    writeGates(theirs, { contract: ['touch', ran] }, `repo = "${repo}"\nauth = "tokens"`)
    expect(await ok(theirs, { cmd: 'init-db', join: true })).toMatchObject({
      changed: false,
      workflows: { added: [], updated: [], unchanged: [], differ: ['default'], owner: mine },
    })
    expect(await stored()).toEqual(before)
    const [row] = await sql`select auth, path from swarm.repos where repo_id = ${repo}`
    expect(row).toEqual({ auth: 'cooperative', path: mine })
    expect(await ok(mine, work)).toMatchObject({ outcome: 'passed', gate: 'passed' })
    expect(existsSync(ran)).toBe(false)
  })

  test('one that joins without gates is told of those of the owner, and of none when they are the same', async () => {
    await root(['true'])
    mkdirSync(join(theirs, '.swarm'))
    writeFileSync(join(theirs, '.swarm', 'config.toml'), `repo = "${repo}"\n`)
    expect(await ok(theirs, { cmd: 'init-db', join: true })).toMatchObject({
      workflows: { differ: ['default'], owner: mine },
    })
    writeGates(theirs, { contract: ['true'] }, `repo = "${repo}"`)
    const same = await ok(theirs, { cmd: 'init-db', join: true })
    expect(same.workflows).toEqual({ added: [], updated: [], unchanged: ['default'] })
    expect(await ok(theirs, work)).toMatchObject({ gate: 'passed' })
  })

  test.each(['work', 'run-once', 'qa'])('%s runs no gate that another put into the database', async (cmd) => {
    await root(['true'])
    const ran = join(top, `ran-${repo}`)
    await storeGate(sql, repo, 'contract', ['touch', ran])
    if (cmd === 'qa') await ok(mine, { cmd: 'claim-next', agent_id: 1 })
    const request: Record<string, JsonObject> = {
      work,
      'run-once': { cmd: 'run-once', agent_id: 1 },
      qa: { cmd: 'qa', agent_id: 1 },
    }
    const refused = await at(mine, request[cmd] ?? {})
    expect(refused).toMatchObject({
      ok: false,
      err: {
        code: 'DEPENDENCY',
        msg: expect.stringMatching(/stage contract of workflow default .*swarm trust.*swarm init-db/),
        ctx: { stage: 'contract', expected: gateHash(['touch', ran]), got: gateHash(['true']) },
      },
      fix: 'swarm workflows --name default',
    })
    expect(existsSync(ran)).toBe(false)
    expect(await bead()).toMatchObject({
      status: cmd === 'qa' ? 'in_progress' : 'pending',
      stage: 'contract',
      attempt: 1,
    })
  })

  test('a gate that was taken out of the database, or is not in this root’s configuration, is not passed over', async () => {
    await root(['false'])
    await storeGate(sql, repo, 'contract', null)
    expect(await at(mine, work)).toMatchObject({ err: { code: 'DEPENDENCY', ctx: { expected: null } } })
    await storeGate(sql, repo, 'contract', ['false'])
    writeGates(mine, {}, `repo = "${repo}"`)
    expect(await at(mine, work)).toMatchObject({ err: { code: 'DEPENDENCY', ctx: { got: null } } })
    expect(await at(mine, { cmd: 'run-once', agent_id: 1, command: ['true'] })).toMatchObject({
      err: { code: 'DEPENDENCY' },
    })
    expect(await bead()).toMatchObject({ status: 'pending', stage: 'contract', attempt: 1 })
  })

  test('a stage passes by its own gate only: evidence of the words that the database had before does not count', async () => {
    await root(['true'])
    await ok(mine, { cmd: 'claim-next', agent_id: 1 })
    expect(await ok(mine, { cmd: 'qa', agent_id: 1 })).toMatchObject({ ran: { outcome: 'passed' } })
    await storeGate(sql, repo, 'contract', ['false'])
    const pass = { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' }
    expect(await at(mine, pass)).toMatchObject({
      err: { code: 'CONFLICT', ctx: { gate: 'false', gate_hash: gateHash(['false']) } },
    })
    const claimed = { command: 'false', exit_code: 0 }
    expect(await at(mine, { ...pass, evidence: [claimed] })).toMatchObject({ err: { code: 'CONFLICT' } })
    await storeGate(sql, repo, 'contract', ['true'])
    expect(await ok(mine, pass)).toMatchObject({ transition: 'advance' })
  })
})

describe('the program of a gate', () => {
  test.each([
    ['in the root', () => join(mine, 'bin')],
    ['in the working tree around the directory', () => join(theirs, 'bin')],
    ['in a directory that a link leads to', () => join(top, repo, 'link')],
  ])('is not taken from a PATH entry %s', async (_, entry) => {
    await root(['gate-of-the-operator'])
    const planted = join(top, `planted-${repo}`)
    for (const dir of [mine, theirs]) script(join(dir, 'bin', 'gate-of-the-operator'), `touch ${planted}`)
    symlinkSync(join(mine, 'bin'), join(top, repo, 'link'))
    script(join(top, repo, 'operator', 'gate-of-the-operator'), 'echo red; exit 1')
    writeFileSync(join(theirs, '.git'), '')
    mkdirSync(join(theirs, 'deep'))
    const PATH = [entry(), 'bin', '', join(top, repo, 'operator'), process.env.PATH].join(':')
    const d = await ok(join(theirs, 'deep'), work, { PATH, SWARM_ROOT: mine })
    expect(d).toMatchObject({ outcome: 'failed', gate: 'failed', output: 'red' })
    expect(existsSync(planted)).toBe(false)
    expect(await bead()).toMatchObject({ verification_status: 'unverified' })
  })

  test('a planted one is not run where there is no other: the bead is given back, and work says which gate', async () => {
    await root(['gate-of-nobody'])
    const [planted, ran] = [join(top, `planted-${repo}`), join(top, `ran-${repo}`)]
    script(join(mine, 'bin', 'gate-of-nobody'), `touch ${planted}`)
    const PATH = `${join(mine, 'bin')}:.:bin:${process.env.PATH}`
    expect(await at(mine, { ...work, command: ['touch', ran] }, { PATH })).toMatchObject({
      ok: false,
      err: {
        code: 'DEPENDENCY',
        msg: expect.stringMatching(
          /the gate gate-of-nobody of stage contract of workflow default .* not on the operator’s PATH outside of the workspace.*SWARM_GATE_PATH/,
        ),
        ctx: { field: 'workflows.default.stages.gate', gate: 'gate-of-nobody', bead_id: 'api' },
      },
      fix: 'swarm workflows --name default',
    })
    expect(existsSync(planted)).toBe(false)
    // the command would have been for nothing
    expect(existsSync(ran)).toBe(false)
    expect(await untouched('api')).toBe(true)
  })

  test.each(['work', 'run-once', 'agent'])(
    'a missing one uses up no attempt of any bead: %s stops at the first, which is given back',
    async (cmd) => {
      await root(['gate-of-nobody'])
      const beads = ['b', 'c', 'd'].map((bead_id) => ({ bead_id, title: bead_id }))
      await ok(mine, { cmd: 'enqueue', beads })
      const request = cmd === 'run-once' ? {} : { max_beads: 100, command: ['true'] }
      expect(await at(mine, { cmd, agent_id: 1, ...request })).toMatchObject({
        ok: false,
        err: { code: 'DEPENDENCY', ctx: { gate: 'gate-of-nobody', stage: 'contract' } },
      })
      for (const id of ['api', 'b', 'c', 'd']) expect(await untouched(id), id).toBe(true)
    },
  )

  test('one that the command should have made, and has not, is looked for after it and is no attempt either', async () => {
    await root(['./check'])
    expect(await at(mine, work)).toMatchObject({ ok: false, err: { code: 'DEPENDENCY' } })
    expect(await untouched('api')).toBe(true)
    const make = `printf '#!/bin/sh\\nexit 0\\n' > ${mine}/check; chmod +x ${mine}/check`
    expect(await ok(mine, { ...work, command: ['sh', '-c', make] })).toMatchObject({ gate: 'passed' })
  })

  test('qa of a missing one stores nothing, and the bead stays with its agent', async () => {
    await root(['gate-of-nobody'])
    await ok(mine, { cmd: 'claim-next', agent_id: 1 })
    expect(await at(mine, { cmd: 'qa', agent_id: 1 })).toMatchObject({
      ok: false,
      err: { code: 'DEPENDENCY', ctx: { gate: 'gate-of-nobody' } },
    })
    expect(await sql`select 1 from swarm.stage_artifacts where repo_id = ${repo}`).toHaveLength(0)
    expect(await bead()).toMatchObject({ status: 'in_progress', stage: 'contract' })
  })

  test('false and true are the system’s, also for a swarm that the command calls under a PATH of its own', async () => {
    await root(['false'])
    script(join(mine, 'bin', 'false'), 'exit 0')
    const swarm = `${process.execPath} ${join(__dirname, '..', '..', 'bin', 'swarm')}`
    const evil = join(top, repo, 'evil')
    script(join(evil, 'false'), 'exit 0')
    const command = [
      'sh',
      '-c',
      `PATH=${evil}:$PATH ${swarm} qa; ${swarm} complete-stage --outcome passed; exit 0`,
    ]
    expect(await ok(mine, { ...work, command })).toMatchObject({ outcome: 'failed', gate: 'failed' })
    expect(await bead()).toMatchObject({ stage: 'contract', verification_status: 'unverified' })
  })

  test('SWARM_GATE_PATH is where the operator says', async () => {
    await root(['gate-of-the-operator'])
    script(join(top, repo, 'operator', 'gate-of-the-operator'), 'exit 0')
    const SWARM_GATE_PATH = `${join(top, repo, 'operator')}:/usr/bin:/bin`
    expect(await ok(mine, work, { SWARM_GATE_PATH })).toMatchObject({ gate: 'passed' })
  })

  test('named with a slash it is taken from the root, and runs where the agent is', async () => {
    await root(['./check', 'made'])
    script(join(mine, 'check'), 'test -f "$1"')
    script(join(theirs, 'check'), 'exit 0')
    expect(await ok(theirs, work, { SWARM_ROOT: mine })).toMatchObject({ gate: 'failed' })
    writeFileSync(join(theirs, 'made'), '')
    expect(await ok(theirs, work, { SWARM_ROOT: mine })).toMatchObject({ gate: 'passed' })
  })
})
