// How long a large import takes beside a working swarm, and how long the others wait: node bench/import.mjs [beads]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const BIN = join(import.meta.dirname, '..', 'bin', 'swarm')
const count = Number(process.argv[2] ?? 300_000)
const root = mkdtempSync(join(tmpdir(), 'swarm-import-'))

/** Runs `swarm` once and answers its last envelope. */
async function runOnce(...args) {
  const child = spawn(process.execPath, [BIN, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  let last = ''
  createInterface({ input: child.stdout }).on('line', (line) => {
    last = line
  })
  await once(child, 'close')
  const envelope = JSON.parse(last)
  if (!envelope.ok) throw new Error(last)
  return envelope
}

/** An open pipe whose requests are sent one after the other; remembers how long each answer took. */
function pipe() {
  const child = spawn(process.execPath, [BIN], { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  const took = []
  return {
    took,
    async ask(request) {
      const from = performance.now()
      child.stdin.write(`${JSON.stringify(request)}\n`)
      const [line] = await once(lines, 'line')
      took.push(performance.now() - from)
      return JSON.parse(line)
    },
    async close() {
      child.stdin.end()
      await once(child, 'close')
    },
  }
}

async function writeBacklog(file) {
  const out = createWriteStream(file)
  const description = 'what is to be done here, in a few words that take some room. '.repeat(4)
  let seed = 7
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return seed / 2_147_483_648
  }
  for (let at = 0; at < count; at++) {
    const waits = at > 10 && random() < 0.7 ? 1 + Math.floor(random() * 2) : 0
    const dependencies = Array.from({ length: waits }, () => ({
      issue_id: `x-${at}`,
      depends_on_id: `x-${Math.max(0, at - 1 - Math.floor(random() * 500))}`,
      type: 'blocks',
    }))
    const line = {
      id: `x-${at}`,
      title: `issue ${at}`,
      description,
      priority: 4,
      status: 'open',
      dependencies,
    }
    if (!out.write(`${JSON.stringify(line)}\n`)) await once(out, 'drain')
  }
  out.end()
  await once(out, 'finish')
}

const percentile = (times, p) => [...times].sort((a, b) => a - b)[Math.floor(p * (times.length - 1))] ?? 0
const said = (times) =>
  `p50 ${percentile(times, 0.5).toFixed(0)} ms, p99 ${percentile(times, 0.99).toFixed(0)} ms, longest ${Math.max(...times).toFixed(0)} ms`

try {
  const file = join(root, 'backlog.jsonl')
  await writeBacklog(file)
  await runOnce('init', '--count', '4')
  let done = false
  const worker = async (agent_id) => {
    const agent = pipe()
    for (let at = 0; !done; at++) {
      if (at % 4 === 0)
        await agent.ask({
          cmd: 'enqueue',
          beads: [{ bead_id: `own-${agent_id}-${at}`, title: 'own', priority: 'p0' }],
        })
      const claim = await agent.ask({ cmd: 'claim-next', agent_id })
      if (claim.d?.bead) await agent.ask({ cmd: 'complete-stage', agent_id, outcome: 'passed' })
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await agent.close()
    return agent.took
  }
  const workers = [1, 2].map(worker)
  const from = performance.now()
  const { d } = await runOnce('import', file)
  const seconds = (performance.now() - from) / 1_000
  done = true
  const took = (await Promise.all(workers)).flat()
  process.stdout.write(`${d.added} beads with ${d.links} links in ${seconds.toFixed(1)} s\n`)
  process.stdout.write(`two agents beside it, ${took.length} requests: ${said(took)}\n`)
} finally {
  await runOnce('db', 'stop').catch(() => {})
  rmSync(root, { recursive: true, force: true })
}
