import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { catalog } from '../../src/commands/registry.ts'
import { prepare } from '../../src/runtime/prepare.ts'
import { readCommandLine } from '../../src/surface/cli/program.ts'

const DEPLOY = join(__dirname, '..', '..', 'docs', 'deploy')
const text = (name: string) => readFileSync(join(DEPLOY, name), 'utf8')
const commands = [
  ...readdirSync(DEPLOY)
    .filter((name) => name.endsWith('.service'))
    .flatMap((name) =>
      [...text(name).matchAll(/^ExecStart=\S+\/swarm (.*)$/gm)].map(([, line = '']) => line.split(' ')),
    ),
  ...[...text('compose.yaml').matchAll(/^ {4}command: (\[.*\])$/gm)].map(([, words = '']) =>
    JSON.parse(words),
  ),
  ...[...text('README.md').matchAll(/^docker compose run --rm worker ([^#\n]*)/gm)].map(([, line = '']) =>
    line.trim().split(' '),
  ),
]

test('there is something to look at', () => {
  expect(commands.length).toBeGreaterThanOrEqual(9)
})

test.each(commands.map((words: string[]) => [words.join(' '), words] as const))(
  'swarm %s is a request that swarm takes',
  async (_, words) => {
    const intent = await readCommandLine(catalog, words, async () => '')
    if (intent.kind !== 'run') throw new Error(JSON.stringify(intent))
    expect(await prepare(catalog, intent.request, () => ({}))).toMatchObject({ command: { name: words[0] } })
  },
)
