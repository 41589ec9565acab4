import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type AnyCommand, type Catalog, defineCommand } from '../../src/contract/command.ts'
import { readCommandLine } from '../../src/surface/cli/program.ts'
import { renderShell } from '../../src/surface/cli/render.ts'
import { catalog as others, shellWords } from './cli-support.ts'

const work = defineCommand({
  name: 'work',
  group: 'work',
  summary: 'runs a command',
  input: z.strictObject({
    agent_id: z.int().min(1),
    command: z.array(z.string()).min(1),
    dry_run: z.boolean().optional(),
  }),
  output: z.object({}),
  effect: 'write',
  errors: [],
  positional: ['command'],
  examples: [],
  run: async () => ({}),
})
// safe: what the registry hands out is erased in the same way
const erased = work as unknown as AnyCommand
const catalog: Catalog = {
  verbs: [...others.verbs, { name: 'work', summary: '', group: 'work', aliases: [] }],
  loaders: { ...others.loaders, work: async () => erased },
}

const read = (line: string) => readCommandLine(catalog, shellWords(line), async () => '')

describe('what stands after -- is the command, word for word', () => {
  it.each([
    ['work --agent-id 1 -- npm test', { agent_id: 1, command: ['npm', 'test'] }],
    [
      'work --agent-id 1 -- npm test --watch --help -h',
      { agent_id: 1, command: ['npm', 'test', '--watch', '--help', '-h'] },
    ],
    [`work -- sh -c 'exit 1' --agent-id 2`, { command: ['sh', '-c', 'exit 1', '--agent-id', '2'] }],
    ['work --agent-id 1 -- a -- b', { agent_id: 1, command: ['a', '--', 'b'] }],
    [`work -- echo '["a","b"]' 5 true`, { command: ['echo', '["a","b"]', '5', 'true'] }],
    ['work --agent-id 1 --', { agent_id: 1, command: [] }],
    [`work --json '{"agent_id":3,"command":["x"]}' -- y`, { agent_id: 3, command: ['y'] }],
    ['work --agent-id 1 npm test', { agent_id: 1, command: ['npm', 'test'] }],
  ])('%s', async (line, fields) => {
    expect(await read(line)).toMatchObject({ kind: 'run', request: { cmd: 'work', ...fields } })
  })

  it('for a verb without a command it is as it was', async () => {
    expect(await read('every -- 3 --peek')).toMatchObject({ request: { agent_id: 3, labels: ['--peek'] } })
  })

  it.each([
    ['work --agentid 1 -- npm test --watch', 'swarm work --agent-id 1 -- npm test --watch'],
    ['work 1 -- npm test', 'swarm work --agent-id 1 -- npm test'],
    ['work --agent-id 1 --command a -- b', 'swarm work --agent-id 1 -- b'],
    ['wrok --agent-id 1 -- npm test --dry', 'swarm work --agent-id 1 -- npm test --dry'],
  ])('a mistake before it is mended without touching it: %s', async (line, fix) => {
    const refused = await read(line)
    if (refused.kind !== 'refused') throw new Error('not refused')
    expect(refused.error.code).toBe('CLI_ERROR')
    expect(refused.error.fix && renderShell(refused.error.fix)).toBe(fix)
  })
})

describe('a request with a command as a shell command', () => {
  it.each([
    [['npm', 'test'], 'swarm work --agent-id 1 -- npm test'],
    [['sh', '-c', 'a && b'], `swarm work --agent-id 1 -- sh -c 'a && b'`],
    [['echo', '5', '["x"]', '--', ''], `swarm work --agent-id 1 -- echo 5 '["x"]' -- ''`],
    [['printf', 'a\nb'], `swarm work --agent-id 1 --json '{"command":["printf","a\\nb"]}'`],
    [[], `swarm work --agent-id 1 --json '{"command":[]}'`],
  ])('%j', async (command, line) => {
    const request = { cmd: 'work', agent_id: 1, command }
    expect(renderShell(request)).toBe(line)
    const [, ...words] = shellWords(line)
    expect(await readCommandLine(catalog, words, async () => '')).toMatchObject({ kind: 'run', request })
  })
})
