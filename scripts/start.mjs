/** `npm start [-- path/to/issues.jsonl]`: builds if need be, then runs the demo: `swarm up` in a scratch repository. */
import { spawn } from 'node:child_process'
import { readdir, stat } from 'node:fs/promises'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, ENTRY, INPUTS } from './build.mjs'

const LAUNCHER = join(dirname(dirname(fileURLToPath(import.meta.url))), 'bin', 'swarm')
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** When a file, or the newest file of a directory, was changed; 0 when it is not there. */
async function changed(path) {
  const found = await stat(path).catch(() => undefined)
  if (!found) return 0
  if (!found.isDirectory()) return found.mtimeMs
  const names = await readdir(path)
  const times = await Promise.all(names.map((name) => changed(join(path, name))))
  return Math.max(found.mtimeMs, ...times)
}

/** Runs the demo on this terminal and resolves with the exit code that it stands for. */
function runDemo(args) {
  return new Promise((resolve, reject) => {
    const demo = spawn(process.execPath, [LAUNCHER, 'demo', ...args], { stdio: 'inherit' })
    // a terminal signals the demo itself: passed on, it would come twice, and the second means at once
    for (const signal of SIGNALS) {
      process.on(signal, () => {
        if (signal === 'SIGTERM' || !process.stdin.isTTY) demo.kill(signal)
      })
    }
    demo.on('error', reject)
    demo.on('close', (code, signal) => resolve(code ?? 128 + constants.signals[signal]))
  })
}

const sources = await Promise.all(INPUTS.map(changed))
if (Math.max(...sources) > (await changed(ENTRY))) await build()
process.exitCode = await runDemo(process.argv.slice(2))
