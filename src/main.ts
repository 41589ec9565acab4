import { isatty } from 'node:tty'
import { getLogger } from './logger.ts'

const FAULT = 9

/** Which way in the command line asks for; only that one is loaded. */
async function main(argv: readonly string[]): Promise<void> {
  const [first, second, dir] = argv
  if (first === undefined) {
    if (isatty(0)) return (await import('./surface/stdio/terminal.ts')).greet()
    return (await import('./surface/stdio/index.ts')).runStdio()
  }
  if (first === 'db' && second === 'keep' && dir !== undefined) {
    return (await import('./embedded/index.ts')).runKeeper(dir)
  }
  if (first === 'demo-agent' && second !== undefined) {
    return (await import('./demo/agent.ts')).runDemoAgent(JSON.parse(second))
  }
  if (first === 'demo-session' && second !== undefined) {
    return (await import('./agents/demo/program.ts')).runDemoSession(second)
  }
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
