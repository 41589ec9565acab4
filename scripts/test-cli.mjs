/**
 * Runs the adapters with the real programs against the project's own model server, `npm run test:cli [claude codex opencode gemini]`, and
 * what the makers of MCP test servers with against ours, `npm run test:mcp`. Not part of `npm test`: it fetches up to a gigabyte.
 */
import { spawnSync } from 'node:child_process'
import { MCP_PROGRAMS, PROGRAMS, provide } from './cli-programs.mjs'

const given = process.argv.slice(2)
const options = given.findIndex((word) => word.startsWith('-'))
/** What begins with a dash, and all after it, is for vitest. */
const [asked, forVitest] = options < 0 ? [given, []] : [given.slice(0, options), given.slice(options)]
const known = Object.keys({ ...PROGRAMS, ...MCP_PROGRAMS })
const unknown = asked.filter((name) => !known.includes(name))
if (unknown.length > 0) {
  process.stderr.write(`there is no ${unknown.join(', ')}; known: ${known.join(', ')}\n`)
  process.exit(1)
}

const programs = {}
for (const name of asked.length > 0 ? asked : Object.keys(PROGRAMS)) {
  programs[name] = provide(name)
  const { missing, version } = programs[name]
  process.stderr.write(missing ? `NOT RUN: ${missing}\n` : `${name} ${version}\n`)
}

const { status } = spawnSync('npx', ['vitest', 'run', '--config', 'vitest.cli.config.mts', ...forVitest], {
  stdio: 'inherit',
  env: { ...process.env, SWARM_CLI_PROGRAMS: JSON.stringify(programs) },
})
process.exitCode = status ?? 1
