/** Builds the page into dist/dashboard, which `swarm serve` answers at `/`. */
import { existsSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'vite'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

/** Builds the page; answers its files with their sizes in bytes. */
export async function buildDashboard() {
  const outDir = join(ROOT, 'dist', 'dashboard')
  // under a test runner it would be React's development build, which is slower and much larger
  process.env.NODE_ENV = 'production'
  const result = await build({
    root: join(ROOT, 'dashboard'),
    configFile: false,
    logLevel: 'warn',
    // no inline code or data: the page's Content-Security-Policy knows none
    build: {
      outDir,
      emptyOutDir: true,
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      target: 'es2023',
    },
  })
  const { output } = Array.isArray(result) ? result[0] : result
  return output.map((file) => ({ name: file.fileName, bytes: Buffer.byteLength(file.code ?? file.source) }))
}

/** Builds the page unless the built one is newer than all that it is made of. */
export async function buildDashboardIfOld() {
  const built = join(ROOT, 'dist', 'dashboard', 'index.html')
  const names = await readdir(join(ROOT, 'dashboard'), { recursive: true })
  const inputs = [...names.map((name) => join('dashboard', name)), 'package-lock.json']
  const newest = Math.max(...inputs.map((name) => statSync(join(ROOT, name)).mtimeMs))
  if (!existsSync(built) || statSync(built).mtimeMs < newest) await buildDashboard()
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const files = await buildDashboard()
  const kib = Math.round(files.reduce((sum, { bytes }) => sum + bytes, 0) / 1024)
  process.stderr.write(`dist/dashboard has ${files.length} files, ${kib} KiB\n`)
}
