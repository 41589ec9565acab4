import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FixRequest } from '../../src/contract/errors.ts'
import { readCommandLine } from '../../src/surface/cli/program.ts'
import { renderShell } from '../../src/surface/cli/render.ts'
import { catalog, shellWords } from './cli-support.ts'

const read = (argv: readonly string[], stdin = '') => readCommandLine(catalog, argv, async () => stdin)

async function request(argv: readonly string[], stdin?: string) {
  const intent = await read(argv, stdin)
  if (intent.kind !== 'run') throw new Error(`not run: ${JSON.stringify(intent)}`)
  return intent.request
}

async function refusal(argv: readonly string[]) {
  const intent = await read(argv)
  if (intent.kind !== 'refused') throw new Error(`not refused: ${JSON.stringify(intent)}`)
  const { error } = intent
  return {
    code: error.code,
    exit: error.exitCode,
    msg: error.message,
    ctx: error.ctx,
    fix: error.fix && renderShell(error.fix),
  }
}

describe('flags become fields', () => {
  it.each([
    ['--agent-id 3', { agent_id: 3 }],
    ['--agent-id=3', { agent_id: 3 }],
    ['3', { agent_id: 3 }],
    ['3 a b', { agent_id: 3, labels: ['a', 'b'] }],
    ['--agent 3', { agent: 3 }],
    ['--agent-id three', { agent_id: 'three' }],
    ['--agent-id -3', { agent_id: -3 }],
    ['--agent-id 1 --agent-id 2', { agent_id: 2 }],
    ['--ratio 0.5', { ratio: 0.5 }],
    ['--title 5', { title: '5' }],
    ['--title=', { title: '' }],
    ['--title --dry', { title: '--dry' }],
    ['--outcome passed', { outcome: 'passed' }],
    ['--no-unread --peek', { unread: false, peek: true }],
    ['--unread', { unread: true }],
    ['--dry --idem k --repo r --rid 5', { dry: true, idem: 'k', repo: 'r', rid: 5 }],
    [`--rid '"5"'`, { rid: '5' }],
    ['--priority 1', { priority: 1 }],
    ['--priority p1', { priority: 'p1' }],
    ['--to 3', { to: 3 }],
    ['--to reviewer', { to: 'reviewer' }],
    ['--to 3 --to 4', { to: [3, 4] }],
    ["--to '[3,4]'", { to: [3, 4] }],
    ['--labels a --labels b,c', { labels: ['a', 'b,c'] }],
    [`--labels '["a","b"]'`, { labels: ['a', 'b'] }],
    ['--labels 5', { labels: ['5'] }],
    ['--ids 1 --ids 2', { ids: [1, 2] }],
    [`--beads '{"title":"x"}' --beads '{"title":"y"}'`, { beads: [{ title: 'x' }, { title: 'y' }] }],
    [`--beads '[{"title":"x"},{"title":"y"}]'`, { beads: [{ title: 'x' }, { title: 'y' }] }],
    [`--metadata '{"a":[1]}'`, { metadata: { a: [1] } }],
    [`--json '{"title":"x","agent_id":1}' --agent-id 2`, { title: 'x', agent_id: 2 }],
    [`--json '{"cmd":"every-shape","peek":true}'`, { peek: true }],
    ['-- 3 --peek', { agent_id: 3, labels: ['--peek'] }],
  ])('%s', async (line, fields) => {
    expect(await request(['every-shape', ...shellWords(line)])).toEqual({ cmd: 'every-shape', ...fields })
  })

  it('takes the request from stdin when asked', async () => {
    expect(await request(['every', '--json', '-', '--peek'], '{\n "title": "x"\n}')).toEqual({
      cmd: 'every-shape',
      title: 'x',
      peek: true,
    })
  })

  it('gives a verb its own field before the flag of the command line', async () => {
    expect(await read(['--format', 'table', 'import', 'a.jsonl', '--format', 'beads'])).toMatchObject({
      kind: 'run',
      format: 'table',
      request: { cmd: 'import', path: 'a.jsonl', format: 'beads' },
    })
    expect(await read(['every', '--format', 'table'])).toMatchObject({ kind: 'run', format: 'table' })
  })

  it('loads only the verb that is named', async () => {
    catalog.loaded.length = 0
    await request(['every', '3'])
    await read(['help'])
    await read(['--version'])
    expect(catalog.loaded).toEqual(['every-shape'])
  })
})

describe('help and version', () => {
  it.each([
    [[], undefined],
    [['--help'], undefined],
    [['-h'], undefined],
    [['help'], undefined],
    [['?'], undefined],
    [['help', 'import'], 'import'],
    [['help', '--verb', 'import'], 'import'],
    [['import', '--help'], 'import'],
    [['import', 'x', '-h'], 'import'],
    [['import', '--nonsense', '--help'], 'import'],
    [['--help', 'import'], 'import'],
  ])('%j asks for help on %s', async (argv, verb) => {
    expect(await read(argv)).toMatchObject({ kind: 'help', verb })
  })

  it.each([[['--version']], [['-V']], [['-v']]])('%j asks for the version', async (argv) => {
    expect(await read(argv)).toMatchObject({ kind: 'version', format: 'json' })
  })
})

describe('mistakes are CLI_ERROR, exit 1, with the corrected command', () => {
  it.each([
    ['claim-nxt --agent-id 1', 'swarm claim-next --agent-id 1'],
    ['claim_next --agentId 1', 'swarm claim-next --agent-id 1'],
    ['claim next --agent-id 1', 'swarm claim-next --agent-id 1'],
    ['claim-next --agnet-id 1', 'swarm claim-next --agent-id 1'],
    ['claim-next --agnet-id=1 --requrie', 'swarm claim-next --agent-id 1 --require'],
    ['claim-next --agent_id 1', 'swarm claim-next --agent-id 1'],
    ['claim-next -agent-id 1', 'swarm claim-next --agent-id 1'],
    ['claim-next agent_id=1', 'swarm claim-next --agent-id 1'],
    ['claim-next 1', 'swarm claim-next --agent-id 1'],
    ['claim-next --agent-id 1 --require=true', 'swarm claim-next --agent-id 1 --require'],
    ['every 3 --no-unraed', 'swarm every-shape --agent-id 3 --no-unread'],
    ['every 3 --label x', 'swarm every-shape --agent-id 3 --labels x'],
    [
      'every 3 --beads {title:x,priority:1}',
      `swarm every-shape --agent-id 3 --beads '[{"title":"x","priority":1}]'`,
    ],
    ['every 3 --metadata {{', 'swarm every-shape --agent-id 3'],
    ['xyzzy-frobnicate --agent-id 1', 'swarm help'],
    ['--nonsense claim-next', 'swarm help'],
    ['claim-next --agent-id', 'swarm claim-next'],
  ])('%s', async (line, fix) => {
    expect(await refusal(shellWords(line))).toMatchObject({ code: 'CLI_ERROR', exit: 1, fix })
  })

  it('reads JSON that is almost JSON', async () => {
    const found = await refusal(['every', '3', '--metadata', "{'a': 1,}"])
    expect(found.msg).toContain('--metadata: not JSON at character 2')
    expect(found.fix).toBe(`swarm every-shape --agent-id 3 --metadata '{"a":1}'`)
  })

  it.each([
    ['--metadata', '{"n":9007199254740993}', 'metadata.n'],
    ['--beads', '[{"title":"x","metadata":{"n":9007199254740993}}]', 'beads[0].metadata.n'],
    ['--json', '{"metadata":{"n":9007199254740993}}', 'metadata.n'],
  ])(
    'an integer that would be changed is refused by its name, not a fault: %s %s',
    async (flag, text, field) => {
      const { code, msg, ctx, fix } = await refusal(['every', '3', flag, text])
      expect({ code, field: ctx.field, fix }).toEqual({ code: 'INVALID', field, fix: undefined })
      expect(msg).toContain(`${field} is an integer beyond 2^53`)
    },
  )

  it('a fix changes no integer either', async () => {
    const { fix } = await refusal(['every', '3', '--metadata', "{'n': 9007199254740993}"])
    expect(fix).toBe('swarm every-shape --agent-id 3')
  })

  it('lists what a value is missing for', async () => {
    expect((await refusal(['claim-next', '--agent-id'])).ctx).toMatchObject({ needs: ['agent_id'] })
    expect((await refusal(['every', '3', '--metadata', '{{'])).ctx).toMatchObject({ needs: ['metadata'] })
  })

  it('repeats no secret', async () => {
    const url = 'postgres://u:s3cret@h/d'
    for (const argv of [
      ['claim-next', '1', url],
      ['import', 'a.jsonl', url],
      ['claim-next', `--databse-url=${url}`],
      ['claim-next', '--databse-url', url, '--agent-id', '1'],
      [url],
      ['claim-next', '--agent-id', '1', '--metadat', `{"database_url":"${url}"`],
    ]) {
      expect(JSON.stringify(await refusal(argv))).not.toContain('s3cret')
    }
  })
})

describe('a request as a shell command', () => {
  it.each([
    [{ cmd: 'claim-next', agent_id: 3 }, 'swarm claim-next --agent-id 3'],
    [{ cmd: 'x', msg: "it's here" }, `swarm x --msg 'it'\\''s here'`],
    [{ cmd: 'x', a: true, b: false }, 'swarm x --a --no-b'],
    [{ cmd: 'x', labels: ['a', 'b c'] }, `swarm x --labels a --labels 'b c'`],
    [{ cmd: 'x', beads: [{ title: 't' }] }, `swarm x --beads '[{"title":"t"}]'`],
    [{ cmd: 'x', n: -3, t: '-x' }, 'swarm x --n=-3 --t=-x'],
    [{ cmd: 'x', t: '5' }, `swarm x --json '{"t":"5"}'`],
    [{ cmd: 'x', t: '5 tests fail' }, `swarm x --t '5 tests fail'`],
    [{ cmd: 'x', t: 'a\nb' }, `swarm x --json '{"t":"a\\nb"}'`],
    [{ cmd: 'x', n: null, e: [] }, `swarm x --json '{"n":null,"e":[]}'`],
    [{ cmd: 'x', 'a-b': 1, format: 'f' }, `swarm x --json '{"a-b":1,"format":"f"}'`],
  ])('%j', (fix, line) => expect(renderShell(fix)).toBe(line))

  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc.constantFrom(
      '',
      ' ',
      '-',
      '--',
      '--dry',
      '-5',
      '5',
      '1e3',
      'true',
      'null',
      '[1]',
      '{"a":1}',
      '"q"',
      "'",
      "a'b",
      '$HOME',
      '`x`',
      '!x',
      '\\',
      'a\nb',
      '~',
      '*',
      '\u0007',
      '\u009b',
      '\ud800',
    ),
  )
  const requests = fc.record(
    {
      cmd: fc.constant('every-shape'),
      agent_id: fc.integer(),
      ratio: fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (Object.is(n, -0) ? 0 : n)),
      title: text,
      outcome: fc.constantFrom('passed', 'failed'),
      unread: fc.boolean(),
      peek: fc.boolean(),
      priority: fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constantFrom('p0', 'p4')),
      // a list of one may come back as the one
      to: fc.oneof(fc.integer(), text, fc.array(fc.integer(), { minLength: 2 })),
      rid: fc.oneof(fc.integer(), text),
      labels: fc.array(text),
      ids: fc.array(fc.integer()),
      beads: fc.array(fc.record({ title: text, priority: fc.integer({ min: 0, max: 4 }) })),
      metadata: fc.dictionary(text, fc.jsonValue({ maxDepth: 2 })),
      idem: text,
      dry: fc.boolean(),
    },
    { requiredKeys: ['cmd'] },
  )

  it('is read as the same request', async () => {
    await fc.assert(
      fc.asyncProperty(requests, async (fix: FixRequest) => {
        const [swarm, ...argv] = shellWords(renderShell(fix))
        expect(swarm).toBe('swarm')
        const same = await request(argv)
        // through JSON, as the fix itself goes
        expect(same).toEqual(JSON.parse(JSON.stringify(fix)))
      }),
      { numRuns: 1_000 },
    )
  })

  it('has the words that a real shell reads', () => {
    const print = `printf '%s\\0' "$@"`
    fc.assert(
      fc.property(requests, (fix: FixRequest) => {
        const line = renderShell(fix)
        const words = shellWords(line).slice(1)
        const script = `set -- ${line.slice('swarm '.length)}\n${print}`
        const seen = execFileSync('sh', ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1)
        expect(seen).toEqual(words)
      }),
      { numRuns: 40 },
    )
  })
})
