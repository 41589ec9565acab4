// Bundles bench/main.ts and runs it: `npm run bench [-- a b c]` for all or some of the benchmarks.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const out = mkdtempSync(join(tmpdir(), 'swarm-bench-'))
try {
  await build({
    entryPoints: [join(here, 'main.ts')],
    outfile: join(out, 'main.cjs'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    packages: 'external',
    logLevel: 'warning',
  })
  const env = {
    ...process.env,
    SWARM_BENCH_ROOT: join(here, '..'),
    NODE_PATH: join(here, '..', 'node_modules'),
  }
  // this variable costs Node 20 tens of milliseconds at every start and would drown what is measured
  delete env.NODE_EXTRA_CA_CERTS
  const { status } = spawnSync(process.execPath, [join(out, 'main.cjs'), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env,
  })
  process.exitCode = status ?? 1
} finally {
  rmSync(out, { recursive: true, force: true })
}
