import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { runSwarm } from '../support/swarm.ts'
import { makeYard } from './support.ts'

const database = await testDatabase()
const yard = await makeYard(database, { repo: 'recorded' })
afterAll(() => yard.scratch.remove())

interface Replayed {
  readonly looks: number
  readonly differing: number
  readonly cut?: true
  readonly more: boolean
  readonly decisions: readonly {
    readonly line: number
    readonly same: boolean
    readonly actions: readonly { readonly kind: string; readonly subject: string; readonly reason: string }[]
    readonly recorded?: { readonly actions: Replayed['decisions'][number]['actions'] }
  }[]
}

test('what up has recorded is decided again as it was, without a database; what differs is told', async () => {
  const { ask, start, scratch } = yard
  const beads = ['b1', 'b2'].map((bead_id) => ({ bead_id, title: bead_id }))
  await ask('enqueue', '--json', JSON.stringify({ beads }))
  const dir = join(scratch.root, '.swarm', 'history')
  expect((await start('up', '--agents', 'implementer=1,reviewer=1', '--record', dir).ended).code).toBe(0)
  const [name = ''] = readdirSync(dir)
  const file = join(dir, name)
  // nothing of a root or a database is needed
  const outside = { cwd: dir, env: { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' } }
  const replay = async (...args: readonly string[]) => {
    const { envelopes } = await runSwarm(['replay', ...args], outside)
    return envelopes[0]
  }
  const good = async (...args: readonly string[]): Promise<Replayed> => {
    const envelope = await replay(...args)
    if (!envelope?.ok) throw new Error(JSON.stringify(envelope))
    return envelope.d as unknown as Replayed
  }
  const whole = await good(name)
  expect(whole).toMatchObject({ differing: 0, more: false })
  expect(whole.looks).toBe(readFileSync(file, 'utf8').trimEnd().split('\n').length)
  const actions = whole.decisions.flatMap((one) => one.actions)
  expect(actions.filter(({ kind }) => kind === 'assign')).toHaveLength(4)
  expect(actions).toContainEqual({
    kind: 'assign',
    subject: expect.stringMatching(/^b1 at implement to agent \d on /),
    reason: expect.stringContaining('ready at implement'),
  })
  expect(actions.at(-1)).toMatchObject({ kind: 'complete', reason: 'all 2 beads have landed' })
  expect(await good(file, '--limit', '1')).toMatchObject({ more: true, cursor: 1, looks: whole.looks })

  // another decision than the rules give, and half a line as a killed leader leaves it
  const text = readFileSync(file, 'utf8')
  const told = join(dir, 'told.jsonl')
  writeFileSync(told, `${text.replace('"reason":"ready at', '"reason":"a whim, at')}{"version":1,"at"`)
  const differing = await good('told.jsonl', '--different')
  expect(differing).toMatchObject({ looks: whole.looks, differing: 1, cut: true })
  expect(differing.decisions).toHaveLength(1)
  const assigned = (one: readonly { readonly kind: string; readonly reason: string }[] = []) =>
    one.find(({ kind }) => kind === 'assign')?.reason
  expect(assigned(differing.decisions[0]?.recorded?.actions)).toMatch(/^a whim/)
  expect(assigned(differing.decisions[0]?.actions)).toMatch(/^ready at/)

  writeFileSync(told, `${text}{"version":1}\n`)
  expect(await replay('told.jsonl')).toMatchObject({
    ok: false,
    err: { code: 'INVALID', msg: expect.stringContaining(`line ${whole.looks + 1} is no recorded look`) },
  })
  writeFileSync(
    told,
    text.replace('"supervision":{', '"supervision":{},"before":{').replace('"hosts":[', '"guests":['),
  )
  expect(await replay('told.jsonl')).toMatchObject({ ok: false, err: { code: 'INVALID' } })
  expect(await replay('none.jsonl')).toMatchObject({ ok: false, err: { code: 'NOTFOUND' } })
}, 120_000)
