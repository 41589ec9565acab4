/**
 * `npm run torture -- --seconds N --seed S`: the torture tests of streams and claims for longer, with another seed. `--only 'half-open,server
 * crashed'` injects these faults only, `--pause 5` is the mean pause of a writer between two transactions in ms.
 */
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const TESTS = ['test/events/torture.fault.test.ts', 'test/runtime/claims.fault.test.ts']
const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
    pause: { type: 'string' },
  },
})
const { status } = spawnSync(
  process.execPath,
  [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--no-file-parallelism', ...TESTS],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      ...(values.seconds === undefined ? {} : { TORTURE_SECONDS: values.seconds }),
      ...(values.only === undefined ? {} : { TORTURE_ONLY: values.only }),
      ...(values.pause === undefined ? {} : { TORTURE_PAUSE_MS: values.pause }),
      TORTURE_SEED: values.seed ?? String(Date.now() % 1_000_000),
    },
  },
)
process.exitCode = status ?? 1
