import { describe, expect, it } from 'vitest'
import { loaders, verbs } from '../../src/commands/registry.ts'
import { isJsonObject } from '../../src/contract/json.ts'
import { openSession, rowsOf } from './look-support.ts'

// nothing of this needs a database: this one does not exist
const session = openSession('postgres://nobody@127.0.0.1:1/none', 'none')

describe('describe', () => {
  it('tells every verb, those of agents with their fields, in at most 8 KB', async () => {
    const envelope = await session.send({ cmd: 'describe' })
    expect(Buffer.byteLength(JSON.stringify(envelope))).toBeLessThanOrEqual(8_192)
    const { verbs: told, operators } = await session.ask({ cmd: 'describe' })
    const names = [Object.keys(told ?? {}), ...Object.values(isJsonObject(operators) ? operators : {})].flat()
    const expected = verbs.filter(({ group }) => group !== 'compat').map(({ name }) => name)
    expect(names.toSorted()).toEqual(expected.toSorted())
    expect(told).toMatchObject({
      'claim-next': [
        'take the first ready bead; it starts its current stage',
        'agent_id*:int labels:[] bead_types:[] lease_ms:int wait_ms:int require:bool',
        'write',
      ],
      show: [expect.any(String), 'bead_id*'],
    })
  })

  it.each(verbs.map((verb) => verb.name))('tells %s in full', async (verb) => {
    const command = await loaders[verb]?.()
    const d = await session.ask({ cmd: 'describe', verb })
    expect(d).toMatchObject({ name: verb, effect: command?.effect, summary: command?.summary })
    expect(rowsOf(d, 'fields').map((field) => field.name)).toEqual(Object.keys(command?.input.shape ?? {}))
    expect(rowsOf(d, 'errors').map((error) => error.code)).toEqual(
      expect.arrayContaining(['INVALID', ...(command?.errors ?? [])]),
    )
    expect(isJsonObject(d.output)).toBe(true)
    expect(d.examples).toHaveLength(command?.examples.length ?? 0)
  })

  it('tells limits, defaults and exit codes', async () => {
    const d = await session.ask({ cmd: 'describe', verb: 'beads' })
    expect(rowsOf(d, 'fields')).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          name: 'limit',
          type: 'integer',
          min: 1,
          max: 1_000,
          default: 50,
          required: false,
        }),
      ]),
    )
    const claim = await session.ask({ cmd: 'describe', verb: 'claim-next' })
    expect(rowsOf(claim, 'errors')[0]).toMatchObject({ code: 'NOTFOUND', exit: 5 })
  })

  it('answers a misspelt verb with the nearest, for help too', async () => {
    const refused = await session.refused({ cmd: 'describe', verb: 'clam-next' })
    expect(refused).toMatchObject({ err: { code: 'INVALID', ctx: { field: 'verb', nearest: 'claim-next' } } })
    expect(refused.fix).toBe('{"cmd":"describe","verb":"claim-next"}')
    expect((await session.refused({ cmd: '?', verb: 'xyzzy' })).fix).toBe('{"cmd":"help"}')
  })
})

describe('help', () => {
  it('names every verb once', async () => {
    const { text } = await session.ask({ cmd: 'help' })
    for (const { name, summary } of verbs) {
      expect(
        String(text)
          .split('\n')
          .filter((line) => line.trim().startsWith(`${name} `) && line.includes(summary)),
      ).toHaveLength(1)
    }
  })

  it('explains one verb with an example that parses', async () => {
    const { text } = await session.ask({ cmd: '?', verb: 'enqueue' })
    expect(text).toContain('beads *')
    const example = /^ {2}(\{"cmd".*\})$/m.exec(String(text))?.[1] ?? ''
    expect(await session.dispatcher.accept(JSON.parse(example))).not.toHaveProperty('ok')
  })
})
