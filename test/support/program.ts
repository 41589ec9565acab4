import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { esbuildPlugin } from '../../scripts/postgres-patch.mjs'

export interface Program {
  /** The bundle, for who starts it himself. */
  readonly file: string
  /** Runs it to its end, at most `timeoutMs`. */
  run(args: readonly string[], timeoutMs: number): Promise<Ended>
  remove(): void
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  readonly ms: number
}

/** Bundles a TypeScript file as the product is bundled, with or without the patch of the driver. */
export async function program(entry: string, { patched = true } = {}): Promise<Program> {
  const dir = mkdtempSync(join(tmpdir(), 'swarm-program-'))
  const outfile = join(dir, 'program.cjs')
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    logLevel: 'error',
    plugins: patched ? [esbuildPlugin()] : [],
  })
  return {
    file: outfile,
    run: (args, timeoutMs) => run(outfile, args, timeoutMs),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  }
}

function run(file: string, args: readonly string[], timeoutMs: number): Promise<Ended> {
  const started = performance.now()
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (data) => {
    stdout += data
  })
  child.stderr.on('data', (data) => {
    stderr += data
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, stdout, stderr, ms: performance.now() - started })
    })
  })
}
