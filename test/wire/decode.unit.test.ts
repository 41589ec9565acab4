import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { type Decoded, decodeLine } from '../../src/wire/decode.ts'
import { readLoosely } from '../../src/wire/loose.ts'

function decode(text: string): Decoded {
  return decodeLine({ number: 7, bytes: Buffer.byteLength(text), text })
}

function refusal(text: string) {
  const { error, rid } = decode(text)
  if (!error) throw new Error(`accepted: ${text.slice(0, 80)}`)
  return { code: error.code, exit: error.exitCode, msg: error.message, ctx: error.ctx, fix: error.fix, rid }
}

/** JSON text of an object, nested `depth` levels in all. */
function nested(depth: number): string {
  return `{"cmd":"x","rid":1,"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`
}

describe('a line becomes a request', () => {
  it('takes any object and its rid', () => {
    expect(decode('{"cmd":"x","rid":"a","n":[1,{"b":null}]}')).toEqual({
      rid: 'a',
      request: { cmd: 'x', rid: 'a', n: [1, { b: null }] },
    })
    expect(decode('{"rid":5}').rid).toBe(5)
  })

  it.each([
    `{"rid":"${'x'.repeat(257)}"}`,
    '{"rid":1.5}',
    '{"rid":true}',
    '{"rid":12345678901234567890}',
    '{}',
  ])('has no rid to echo in %s', (text) => expect(decode(text).rid).toBeUndefined())

  it.each([
    ['null', 'null'],
    ['[]', 'array'],
    ['5', 'number'],
    ['"text"', 'string'],
    ['true', 'boolean'],
  ])('refuses %s, which is no object', (text, got) => {
    const { code, exit, ctx } = refusal(text)
    expect({ code, exit }).toEqual({ code: 'INVALID', exit: 8 })
    expect(ctx).toEqual({ kind: 'InvalidType', field: 'line', expected: 'object', got, line: 7 })
  })

  it('reads an array as the batch that it was meant to be', () => {
    expect(refusal('[{"cmd":"a"},{"cmd":"b"}]').fix).toEqual({
      cmd: 'batch',
      ops: [{ cmd: 'a' }, { cmd: 'b' }],
    })
    expect(refusal('[{"cmd":"a"},{"no":"b"}]').fix).toEqual({ cmd: 'describe' })
  })

  it('reads a request that was encoded twice', () => {
    expect(refusal(JSON.stringify('{"cmd":"show","bead_id":"a"}')).fix).toEqual({ cmd: 'show', bead_id: 'a' })
  })
})

describe('what the database cannot keep', () => {
  it.each([
    ['{"cmd":"x","rid":"r","a":"b\\u0000"}', 'a', { cmd: 'x', rid: 'r', a: 'b' }],
    ['{"cmd":"x","rid":"r","a":"b\0"}', 'a', { cmd: 'x', rid: 'r', a: 'b' }],
    ['{"cmd":"x","rid":"r","a":[{"c":"\\u0000"}]}', 'a[0].c', { cmd: 'x', rid: 'r', a: [{ c: '' }] }],
    ['{"cmd":"x","rid":"r","b":{"k\\u0000":1}}', 'b.k\\u0000', { cmd: 'x', rid: 'r', b: { k: 1 } }],
    ['{"cmd":"x","rid":"r","a":"\\ud800"}', 'a', { cmd: 'x', rid: 'r', a: '\ufffd' }],
    ['{"cmd":"x","rid":"r","a":["\\udc00\\ud800"]}', 'a[0]', { cmd: 'x', rid: 'r', a: ['\ufffd\ufffd'] }],
  ])('refuses %j and names the field', (text, field, fix) => {
    const found = refusal(text)
    expect(found).toMatchObject({ code: 'INVALID', rid: 'r', ctx: { kind: 'InvalidValue', field } })
    expect(found.fix).toEqual(fix)
  })

  it('takes pairs of surrogates', () => {
    expect(decode('{"a":"\\ud83d\\ude00 😀"}')).toMatchObject({ request: { a: '😀 😀' } })
  })

  it.each([
    ['{"cmd":"x","__proto__":{"admin":true}}', '__proto__'],
    ['{"cmd":"x","a":[{"__proto__":1}]}', 'a[0].__proto__'],
    ['{"cmd":"x","\\u005f_proto__":1}', '__proto__'],
  ])('refuses %s', (text, field) => {
    const { ctx, fix } = refusal(text)
    expect(ctx).toMatchObject({ kind: 'UnknownField', field })
    expect(JSON.stringify(fix)).not.toContain('__proto__')
  })

  it('takes 64 levels and refuses 65', () => {
    expect(decode(nested(64)).error).toBeUndefined()
    expect(refusal(nested(65))).toMatchObject({ rid: 1, ctx: { field: 'a', expected: 'at most 64 levels' } })
  })

  it('refuses half a million levels without running out of stack', () => {
    expect(refusal(nested(500_000))).toMatchObject({ code: 'INVALID', rid: 1 })
    expect(refusal(`${'['.repeat(500_000)}`)).toMatchObject({ code: 'INVALID' })
  })
})

describe('text that is not JSON', () => {
  it.each([
    [`{'cmd':'show','bead_id':'a'}`, { cmd: 'show', bead_id: 'a' }],
    ['{cmd:"show",bead_id:"a"}', { cmd: 'show', bead_id: 'a' }],
    ['{"cmd":"show","bead_id":"a",}', { cmd: 'show', bead_id: 'a' }],
    ['{"cmd":"show","bead_id":"a"', { cmd: 'show', bead_id: 'a' }],
    ['{"cmd":"inbox","agent_id":1,"peek":True,"x":None}', { cmd: 'inbox', agent_id: 1, peek: true, x: null }],
    ['{"cmd":"show","bead_id":"a"};', { cmd: 'show', bead_id: 'a' }],
    ['{"cmd":"show", /* which */ "bead_id":"a"} // end', { cmd: 'show', bead_id: 'a' }],
    ['{"cmd":"send","body":"a\tb"}', { cmd: 'send', body: 'a\tb' }],
    ['{“cmd”:“show”,“bead_id”:“a”}', { cmd: 'show', bead_id: 'a' }],
    ['status', { cmd: 'status' }],
    ['hello there', { cmd: 'describe' }],
    ['{"cmd":"a"}{"cmd":"b"}', { cmd: 'describe' }],
    ['{"cmd":"send","body":"cut off he', { cmd: 'describe' }],
  ])('proposes for %s the request that was meant', (text, fix) => {
    const found = refusal(text)
    expect(found).toMatchObject({ code: 'INVALID', exit: 8, rid: undefined })
    expect(found.fix).toEqual(fix)
  })

  it('says where', () => {
    expect(refusal(`{"cmd":'x'}`).msg).toBe('line 7 is not JSON at character 8: a string needs double quotes')
    expect(refusal('{"cmd":"x",}').msg).toBe('line 7 is not JSON at character 11: a comma too many')
    expect(refusal('{"cmd":"x" "rid":1}').msg).toBe('line 7 is not JSON at character 12: , or } is missing')
  })

  it('repeats no secret', () => {
    const url = 'postgres://u:s3cret@h/db'
    for (const text of [
      `{"cmd":"status","database_url":"${url}"`,
      `{"cmd":"status","database_url":"${url}" oops}`,
      `[{"cmd":"status","database_url":"${url}"}]`,
      `{"cmd":"status","a":"\\u0000","database_url":"${url}"}`,
      `"${url}"`,
      url,
    ]) {
      const found = refusal(text)
      expect(JSON.stringify(found)).not.toContain('s3cret')
    }
    expect(refusal(`{"cmd":"status","database_url":"${url}"`)).toMatchObject({
      fix: { cmd: 'status' },
      ctx: { needs: ['database_url'] },
    })
  })

  it('reads all of JSON as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value)
        expect(JSON.stringify(readLoosely(text).value)).toBe(text)
      }),
    )
  })

  it('never throws, whatever it is given', () => {
    const piece = fc.constantFrom(...'{}[]:,"\'\\ \tabtrue1-.e/*#', 'null', '\\u00', '{"cmd":', '\0')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const decoded = decode(pieces.join(''))
        if (decoded.error) expect(decoded.error.code).toBe('INVALID')
        else expect(typeof (decoded.request satisfies JsonObject)).toBe('object')
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('an integer beyond 2^53', () => {
  it.each([
    ['{"cmd":"record-event","payload":{"ids":[1,12345678901234567890]}}', 'payload.ids[1]'],
    ['{"cmd":"x","n":9007199254740993}', 'n'],
    ['{"cmd":"x","n":-9007199254740995}', 'n'],
    ['{"cmd":"x","text":"\\"1234567890123456789","n":{"id": 1234567890123456789 }}', 'n.id'],
  ])('is refused by its name, not changed: %s', (text, field) => {
    expect(refusal(text)).toMatchObject({ code: 'INVALID', ctx: { kind: 'InvalidValue', field } })
    expect(refusal(text).fix).toBeUndefined()
  })

  it('is in no fix of text that is not quite JSON', () => {
    expect(refusal("{'cmd':'x','n':7}").fix).toBeDefined()
    expect(refusal("{'cmd':'x','n':9007199254740993}").fix).toBeUndefined()
  })

  it.each([
    '{"cmd":"x","n":9007199254740991}',
    '{"cmd":"x","n":100000000000000000}',
    '{"cmd":"x","n":"12345678901234567890"}',
    '{"cmd":"x","n":1.2345678901234567,"m":1e300,"o":0.12345678901234567890}',
    '{"cmd":"x","12345678901234567890":1}',
  ])('is not what stands in %s', (text) => expect(decode(text).error).toBeUndefined())
})
