import { expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { openPipe } from '../support/swarm.ts'

interface Mistake {
  readonly name: string
  /** Sent first, on top of two agents and the beads `api` and `docs`. */
  readonly given?: readonly JsonObject[]
  readonly send: JsonObject
}

const claimed: readonly JsonObject[] = [{ cmd: 'claim-next', agent_id: 1 }]
const bead = { title: 'A title' }

/** What agents get wrong: typing errors, wrong types, names of other tools, stale state. */
const MISTAKES: readonly Mistake[] = [
  // the verb
  { name: 'verb misspelt', send: { cmd: 'claim-nxt', agent_id: 1 } },
  { name: 'verb with underscore', send: { cmd: 'claim_next', agent_id: 1 } },
  { name: 'verb in camel case', send: { cmd: 'claimNext', agent_id: 1 } },
  { name: 'verb in capitals', send: { cmd: 'STATUS' } },
  { name: 'verb cut short', send: { cmd: 'claim', agent_id: 1 } },
  { name: 'letters swapped', send: { cmd: 'hearbteat', agent_id: 1 } },
  { name: 'command instead of cmd', send: { command: 'status' } },
  { name: 'action instead of cmd', send: { action: 'claim-next', agent_id: 1 } },
  { name: 'verb and field wrong', send: { cmd: 'regster', cont: 2 } },
  // names of fields
  { name: 'agentId', send: { cmd: 'claim-next', agentId: 1 } },
  { name: 'agent-id', send: { cmd: 'claim-next', 'agent-id': 1 } },
  { name: 'agent for agent_id', send: { cmd: 'claim-next', agent: 1 } },
  { name: 'agent_idd', send: { cmd: 'claim-next', agent_idd: 1 } },
  { name: 'id for agent_id', send: { cmd: 'claim-next', id: 1 } },
  { name: 'bead for bead_id', send: { cmd: 'show', bead: 'api' } },
  { name: 'id for bead_id', send: { cmd: 'show', id: 'api' } },
  { name: 'message for msg', send: { cmd: 'broadcast', from: 1, message: 'hello' } },
  { name: 'text for body', send: { cmd: 'send', agent_id: 1, to: 2, text: 'hello' } },
  { name: 'recipient for to', send: { cmd: 'send', agent_id: 1, recipient: 2, body: 'hello' } },
  {
    name: 'result for outcome',
    given: claimed,
    send: { cmd: 'complete-stage', agent_id: 1, result: 'passed' },
  },
  {
    name: 'status for outcome',
    given: claimed,
    send: { cmd: 'complete-stage', agent_id: 1, status: 'passed' },
  },
  { name: 'ttl for ttl_ms', send: { cmd: 'lock', resource: 'r1', agent: 1, ttl: 5_000 } },
  { name: 'a field that no verb has', send: { cmd: 'status', frobnicate: true } },
  { name: 'beads misspelt', send: { cmd: 'enqueue', bead: [bead] } },
  { name: 'name for title', send: { cmd: 'enqueue', beads: [{ name: 'A title' }] } },
  { name: 'ops named cmds', send: { cmd: 'batch', cmds: [{ cmd: 'status' }] } },
  { name: 'task_id for bead_id', send: { cmd: 'show', task_id: 'api' } },
  // types and values
  { name: 'number as text', send: { cmd: 'claim-next', agent_id: '1' } },
  { name: 'boolean as text', send: { cmd: 'inbox', agent_id: 1, peek: 'true' } },
  { name: 'one bead instead of a list', send: { cmd: 'enqueue', beads: bead } },
  { name: 'beads as JSON text', send: { cmd: 'enqueue', beads: JSON.stringify([bead]) } },
  { name: 'one label instead of a list', send: { cmd: 'claim-next', agent_id: 1, labels: 'x' } },
  { name: 'outcome pass', given: claimed, send: { cmd: 'complete-stage', agent_id: 1, outcome: 'pass' } },
  {
    name: 'outcome success',
    given: claimed,
    send: { cmd: 'complete-stage', agent_id: 1, outcome: 'success' },
  },
  {
    name: 'outcome in capitals',
    given: claimed,
    send: { cmd: 'complete-stage', agent_id: 1, outcome: 'PASSED' },
  },
  { name: 'priority in capitals', send: { cmd: 'enqueue', beads: [{ title: 't', priority: 'P1' }] } },
  { name: 'priority high', send: { cmd: 'enqueue', beads: [{ title: 't', priority: 'high' }] } },
  { name: 'limit too large', send: { cmd: 'events', limit: 1_000_000 } },
  { name: 'limit zero', send: { cmd: 'events', limit: 0 } },
  { name: 'a duration with a unit', send: { cmd: 'claim-next', agent_id: 1, lease_ms: '90s' } },
  { name: 'a null field', send: { cmd: 'claim-next', agent_id: 1, labels: null } },
  { name: 'a lease too short', send: { cmd: 'claim-next', agent_id: 1, lease_ms: 5 } },
  {
    name: 'message type with a dash',
    send: { cmd: 'send', agent_id: 1, to: 2, body: 'x', message_type: 'contract-ready' },
  },
  { name: 'read with idem', send: { cmd: 'status', idem: 'k' } },
  // state
  { name: 'an agent that is not registered', send: { cmd: 'claim-next', agent_id: 9 } },
  { name: 'a recipient that is not registered', send: { cmd: 'send', agent_id: 1, to: 9, body: 'hello' } },
  { name: 'completing without holding', send: { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' } },
  {
    name: 'the wrong stage',
    given: claimed,
    send: { cmd: 'complete-stage', agent_id: 1, outcome: 'passed', stage: 'qa' },
  },
  { name: 'an old fence', given: claimed, send: { cmd: 'heartbeat', agent_id: 1, bead_id: 'api', fence: 0 } },
  { name: 'a bead id in capitals', send: { cmd: 'show', bead_id: 'API' } },
  { name: 'a bead id cut short', send: { cmd: 'show', bead_id: 'doc' } },
  {
    name: 'enqueue of one that differs',
    send: { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Another title' }] },
  },
  { name: 'reopening a bead that is open', send: { cmd: 'reopen', bead_id: 'api' } },
  { name: 'unlocking what is not locked', send: { cmd: 'unlock', resource: 'nothing', agent: 1 } },
]

const database = await testDatabase()

test(`at least nine in ten of ${MISTAKES.length} mistakes are mended by sending fix unchanged`, async () => {
  const pipe = openPipe({ DATABASE_URL: database.url })
  const failed: string[] = []
  for (const [at, mistake] of MISTAKES.entries()) {
    const repo = `mistake-${at}`
    const before: readonly JsonObject[] = [
      { cmd: 'register', count: 2 },
      {
        cmd: 'enqueue',
        beads: [
          { bead_id: 'api', title: 'Write the API', priority: 'p0' },
          { bead_id: 'docs-api', title: 'Document it' },
        ],
      },
      ...(mistake.given ?? []),
    ]
    for (const request of before) await pipe.ok({ ...request, repo })
    const wrong = await pipe.send({ ...mistake.send, repo })
    if (wrong.ok) {
      failed.push(`${mistake.name}: was accepted as it is`)
      continue
    }
    if (!wrong.fix) {
      failed.push(`${mistake.name}: ${wrong.err.code} ${wrong.err.msg}, without a fix`)
      continue
    }
    // only the tenant is added where the fix does not carry it: the default of a real session
    const again = await pipe.send({ repo, ...JSON.parse(wrong.fix) })
    if (!again.ok)
      failed.push(`${mistake.name}: fix ${wrong.fix} answered ${again.err.code} ${again.err.msg}`)
  }
  await pipe.close()
  process.stderr.write(
    `mended ${MISTAKES.length - failed.length} of ${MISTAKES.length} mistakes\n${failed.map((f) => `  not: ${f}\n`).join('')}`,
  )
  expect(MISTAKES.length).toBeGreaterThanOrEqual(50)
  expect(MISTAKES.length - failed.length).toBeGreaterThanOrEqual(Math.ceil(MISTAKES.length * 0.9))
}, 120_000)
