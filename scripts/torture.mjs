/**
 * `npm run torture -- --seconds N --seed S`: the torture tests of streams and claims for longer, with another seed. `--only 'half-open,server
 * crashed'` injects these faults only, `--pause 5` is the mean pause of a writer between two transactions in ms. `npm run torture -- up`: a run
 * whose agents, workers, leaders and database die for so long (300 s unless said), and a leader that ends at each step of a landing in each way.
 */
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const TESTS = ['test/events/torture.fault.test.ts', 'test/runtime/claims.fault.test.ts']
const UP = ['test/orchestrator/chaos.fault.test.ts', 'test/orchestrator/landing.fault.test.ts']
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
    pause: { type: 'string' },
  },
})
const isUp = positionals[0] === 'up'
if (positionals.length > (isUp ? 1 : 0)) {
  process.stderr.write(
    `torture knows no ${positionals.at(-1)}: npm run torture -- [up] [--seconds N] [--seed S]\n`,
  )
  process.exit(2)
}
const seconds = values.seconds ?? (isUp ? '300' : undefined)
const { status } = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules', 'vitest', 'vitest.mjs'),
    'run',
    '--no-file-parallelism',
    ...(isUp ? UP : TESTS),
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      ...(seconds === undefined ? {} : { TORTURE_SECONDS: seconds }),
      ...(values.only === undefined ? {} : { TORTURE_ONLY: values.only }),
      ...(values.pause === undefined ? {} : { TORTURE_PAUSE_MS: values.pause }),
      TORTURE_SEED: values.seed ?? String(Date.now() % 1_000_000),
    },
  },
)
process.exitCode = status ?? 1
