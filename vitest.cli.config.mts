import { defineConfig } from 'vitest/config'
import { vitePlugin } from './scripts/postgres-patch.mjs'

/** The real agent programs, one after the other; `npm run test:cli` starts this. */
export default defineConfig({
  plugins: [vitePlugin()],
  test: {
    include: ['test/cli/*.cli.test.ts'],
    // the server of the databases in which `swarm up` keeps its runs
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 240_000,
    hookTimeout: 60_000,
  },
})
