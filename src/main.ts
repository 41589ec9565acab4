import { isatty } from 'node:tty'
import { getLogger } from './logger.ts'
import { SELF, type SelfMode, selfMode } from './self.ts'

const FAULT = 9

/** What swarm has started itself as. */
const AS_SELF: Readonly<Record<SelfMode, (argument: string) => Promise<void>>> = {
  [SELF.keeper]: async () => (await import('./embedded/index.ts')).runKeeper(),
  [SELF.demoSession]: async (script) => (await import('./agents/demo/program.ts')).runDemoSession(script),
}

/** Which way in the command line asks for; only that one is loaded. */
async function main(argv: readonly string[]): Promise<void> {
  const [first, second] = argv
  if (first === undefined) {
    if (isatty(0)) return (await import('./surface/stdio/terminal.ts')).greet()
    return (await import('./surface/stdio/index.ts')).runStdio()
  }
  const mode = second === undefined ? null : selfMode(first)
  if (mode !== null && second !== undefined) return AS_SELF[mode](second)
  if (first === 'mcp') return (await import('./surface/mcp/index.ts')).runMcp(argv.slice(1))
  return (await import('./surface/cli/index.ts')).runCli(argv)
}

/** A fault that nobody caught: it goes to the log, never to stdout, and ends the process. */
function die(err: unknown): void {
  getLogger().fatal({ err }, 'swarm ended with a fault')
  process.exitCode = FAULT
  // the log is written before the next turn
  setImmediate(() => process.exit())
}

process.on('uncaughtException', die)
main(process.argv.slice(2)).catch(die)
