/**
 * Makes the code cache of the bundle: runs it through a few commands, so that the functions which a start needs are
 * compiled, and writes what V8 has of it then. `node scripts/warm.cjs <bundle> <cache>`; nothing is written when that fails.
 */
const { readFileSync, renameSync, writeFileSync } = require('node:fs')
const { createServer } = require('node:net')
const { dirname } = require('node:path')
const { Script } = require('node:vm')

const [bundle, cache] = process.argv.slice(2)
const source = readFileSync(bundle, 'latin1')
const script = new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
  filename: bundle,
})

const COMMANDS = [
  ['claim-next', '--agent-id', '1', '--labels', 'a'],
  ['status'],
  ['complete-stage', '--agent-id', '1', '--outcome', 'passed'],
  ['show', 'a'],
]

/** What the functions of the database answer, by the name of their one column: `r` a write, `d` a read. */
const ANSWERS = {
  r: {
    d: { bead: { bead_id: 'a', title: 'a', stage: 'implement', fence: 1 }, lease_ms: 60_000, kept: true },
  },
  d: { beads: {}, bead_id: 'a' },
}

/** Enough of a Postgres to be connected to, and to answer one row to every query. */
const server = createServer((socket) => {
  let started = false
  socket.on('error', () => {})
  socket.on('data', (bytes) => {
    if (!started) {
      started = true
      socket.write(
        Buffer.concat([message('R', int32(0)), message('K', int32(1), int32(1)), message('Z', 'I')]),
      )
      return
    }
    if (bytes[0] === 0x58) return socket.end()
    const statement = bytes.toString('latin1')
    const column = statement.includes('run_and_wake') ? 'r' : (/ as ([rd])\0/.exec(statement)?.[1] ?? 'x')
    const value = JSON.stringify(ANSWERS[column] ?? {})
    const described = [int32(0), int16(0), int32(3802), int16(-1), int32(-1), int16(0)]
    socket.write(
      Buffer.concat([
        message('1'),
        message('t', int16(0)),
        message('T', int16(1), `${column}\0`, ...described),
        message('2'),
        message('D', int16(1), int32(value.length), value),
        message('C', 'SELECT 1\0'),
        message('Z', 'I'),
      ]),
    )
  })
})

function message(type, ...parts) {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)))
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
}

function int32(value) {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function int16(value) {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function run(argv) {
  process.argv = [process.execPath, 'swarm', ...argv]
  script.runInThisContext().call({}, {}, require, { exports: {} }, bundle, dirname(bundle))
}

process.stdout.write = (_text, ...rest) => {
  rest.find((one) => typeof one === 'function')?.()
  return true
}
server.listen(0, '127.0.0.1', () => {
  server.unref()
  process.env.DATABASE_URL = `postgres://u@127.0.0.1:${server.address().port}/d`
  process.env.SWARM_REPO = 'warm'
  const rest = [...COMMANDS]
  run([])
  process.on('beforeExit', () => {
    const next = rest.shift()
    if (next) return run(next)
    process.removeAllListeners('beforeExit')
    writeFileSync(`${cache}.${process.pid}`, script.createCachedData())
    renameSync(`${cache}.${process.pid}`, cache)
    process.exitCode = 0
  })
})
