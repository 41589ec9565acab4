import { defineConfig } from 'vitest/config'
import { vitePlugin } from './scripts/postgres-patch.mjs'

/** What measures time or kills everything runs by itself, after the others: beside them it would measure them. */
const ALONE = [
  'test/db/client-listener.server.test.ts',
  'test/db/driver.fault.test.ts',
  'test/events/slow-reader.fault.test.ts',
  'test/events/torture.fault.test.ts',
  'test/orchestrator/chaos.fault.test.ts',
  'test/orchestrator/landing.fault.test.ts',
  'test/process/sessions.process.test.ts',
  'test/work/work-ends.process.test.ts',
]

/** Unit tests start nothing; all others share one build and one server, made by the global setup. */
export default defineConfig({
  plugins: [vitePlugin()],
  test: {
    pool: 'forks',
    maxWorkers: 2,
    // what is waited for takes longer where both cores are busy
    expect: { poll: { timeout: 15_000, interval: 50 } },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/**/*.unit.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'server',
          include: ['test/**/*.{server,process,fault}.test.ts'],
          exclude: ALONE,
          globalSetup: ['test/support/global-setup.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: ALONE,
          globalSetup: ['test/support/global-setup.ts'],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
