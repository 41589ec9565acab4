/** `npm run torture -- --seconds N --seed S`: the torture test for longer, with another seed. */
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const { values } = parseArgs({ options: { seconds: { type: 'string' }, seed: { type: 'string' } } })
const { status } = spawnSync(
  process.execPath,
  [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', 'test/faults/torture.test.ts'],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      ...(values.seconds === undefined ? {} : { TORTURE_SECONDS: values.seconds }),
      TORTURE_SEED: values.seed ?? String(Date.now() % 1_000_000),
    },
  },
)
process.exitCode = status ?? 1
