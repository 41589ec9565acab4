// Bundles bench/main.ts and runs it: `npm run bench [-- a b c]` for all or some of the benchmarks.
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const outfile = join(root, 'dist', 'bench', 'main.cjs')
await build({
  entryPoints: [join(root, 'bench', 'main.ts')],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  packages: 'external',
  logLevel: 'warning',
})
const env = { ...process.env, SWARM_BENCH_ROOT: root }
// this variable costs Node 20 tens of milliseconds at every start and would drown what is measured
delete env.NODE_EXTRA_CA_CERTS
const { status } = spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], { stdio: 'inherit', env })
process.exitCode = status ?? 1
