import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import WebSocket from 'ws'
import { median, quantile, type Row, type Section } from './measure.ts'
import { type BenchServer, fillBacklog } from './server.ts'
import { BIN, openSession } from './swarm.ts'

const REPO = 'http'
const CLIENTS = 8
const ROUND_MS = 3_000
const ROUNDS = 3
const READERS = 1_000
const INSERTS = 100

interface Serving {
  readonly url: string
  readonly pid: number
  stop(): Promise<void>
}

/** REST beside a bare Hono with the same statements, many readers of one room, MCP beside the pipe, memory. */
export async function benchHttp(server: BenchServer): Promise<Section> {
  await fillBacklog(server, REPO, 2_000)
  const cwd = mkdtempSync(join(tmpdir(), 'swarm-bench-http-'))
  mkdirSync(join(cwd, '.swarm'))
  writeFileSync(
    join(cwd, '.swarm', 'config.toml'),
    `repo = "${REPO}"\n[http]\nrequests_per_second = 1000000\nstreams = 4000\n`,
  )
  const { PATH, HOME } = process.env
  const env = { PATH, HOME, DATABASE_URL: server.url }
  const children: ChildProcess[] = []
  const start = (file: string, args: readonly string[], childEnv: NodeJS.ProcessEnv) => {
    const child = spawn(process.execPath, [file, ...args], { cwd, env: childEnv })
    children.push(child)
    return listening(child)
  }
  const swarm = () => start(BIN, ['serve', '--port', '0'], env)
  const bare = () => start(process.argv[1] ?? '', ['bare-hono', server.url, REPO], { PATH })
  const rows: Row[] = []
  try {
    const idle = await swarm()
    await delay(2_000)
    const mb = memoryOf(idle.pid)
    rows.push({ what: 'memory of serve, idle', value: `${mb.toFixed(0)} MB`, goal: '≤ 90 MB', met: mb <= 90 })
    await idle.stop()
    rows.push(...(await rest(swarm, bare)))
    for (const kind of ['sockets', 'server-sent events'] as const) {
      const serving = await swarm()
      rows.push(await room(server, serving, kind))
      await serving.stop()
    }
    rows.push(...(await mcp(server)))
  } finally {
    for (const child of children) child.kill('SIGKILL')
    rmSync(cwd, { recursive: true, force: true })
  }
  return {
    title: 'HTTP and MCP',
    how: `REST: ${CLIENTS} connections for ${ROUND_MS / 1_000} s, median of ${ROUNDS} rounds run alternately; rooms: ${READERS} readers of one, ${INSERTS} events at 20/s, all in this process`,
    rows,
  }
}

/** Waits until a server says where it listens. */
async function listening(child: ChildProcess): Promise<Serving> {
  if (!child.stdout) throw new Error('no stdout')
  child.stderr?.pipe(process.stderr)
  const [line]: string[] = await once(createInterface({ input: child.stdout }), 'line')
  return {
    url: JSON.parse(line ?? '').d.url,
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGTERM')
      await once(child, 'close')
    },
  }
}

async function rest(swarm: () => Promise<Serving>, start: () => Promise<Serving>): Promise<Row[]> {
  const bare = await start()
  const ours = await swarm()
  const rows: Row[] = []
  for (const method of ['GET', 'PATCH'] as const) {
    const rates = { ours: [] as number[], bare: [] as number[] }
    for (let round = 0; round < ROUNDS; round++) {
      rates.bare.push(await ratePerSecond(bare.url, method))
      rates.ours.push(await ratePerSecond(ours.url, method))
    }
    const [us, them] = [median(rates.ours), median(rates.bare)]
    rows.push({
      what: method === 'GET' ? 'read a bead' : 'write a bead',
      value: `${us.toFixed(0)}/s`,
      against: `bare Hono, same statement: ${them.toFixed(0)}/s`,
      ratio: (us / them).toFixed(2),
      goal: '≥ 0.5',
      met: us / them >= 0.5,
    })
  }
  await ours.stop()
  await bare.stop()
  return rows
}

async function ratePerSecond(url: string, method: 'GET' | 'PATCH'): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS })
  const until = performance.now() + ROUND_MS
  let done = 0
  const client = async (id: number) => {
    for (let n = 0; performance.now() < until; n++) {
      const body = method === 'PATCH' ? JSON.stringify({ priority: `p${n % 5}` }) : undefined
      const status = await ask(agent, `${url}/api/beads/b${id + 1}`, method, body)
      if (status !== 200) throw new Error(`${method} answered ${status}`)
      done += 1
    }
  }
  const started = performance.now()
  await Promise.all(Array.from({ length: CLIENTS }, (_, id) => client(id)))
  agent.destroy()
  return (done / (performance.now() - started)) * 1_000
}

function ask(agent: Agent, url: string, method: string, body?: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers =
      body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }
    const out = request(url, { agent, method, headers }, (answer) => {
      answer.resume()
      answer.on('end', () => resolve(answer.statusCode ?? 0))
    })
    out.on('error', reject)
    out.end(body)
  })
}

/** From the call that inserts an event to the last of many clients that reads it. */
async function room(
  server: BenchServer,
  serving: Serving,
  kind: 'sockets' | 'server-sent events',
): Promise<Row> {
  const bead = 'b1'
  let heard: (entity: string) => void = () => {}
  const open = kind === 'sockets' ? openSocket : openSse
  const closes: (() => void)[] = []
  for (let from = 0; from < READERS; from += 50) {
    const some = Array.from({ length: 50 }, () => open(serving.url, bead, (text) => heard(text)))
    closes.push(...(await Promise.all(some)))
  }
  const session = openSession({ DATABASE_URL: server.url, SWARM_REPO: REPO })
  await session.send([{ cmd: 'record-event', event_type: 'warm_up', entity_id: 'x' }])
  const took: number[] = []
  for (let n = 0; n < INSERTS; n++) {
    const mark = `mark-${n}-${kind === 'sockets' ? 'w' : 's'}`
    let left = READERS
    const all = new Promise<void>((resolve) => {
      heard = (text) => {
        if (!text.includes(mark)) return
        left -= 1
        if (left === 0) resolve()
      }
    })
    const begun = performance.now()
    await session.send([
      {
        cmd: 'record-event',
        event_type: 'progress',
        entity_id: mark,
        bead_id: bead,
        payload: { message: mark },
      },
    ])
    await all
    took.push(performance.now() - begun)
    await delay(Math.max(0, 50 - (performance.now() - begun)))
  }
  await session.close()
  for (const close of closes) close()
  const p99 = quantile(took, 0.99)
  return {
    what: `${READERS} ${kind} in one room: insert call → last client`,
    value: `p50 ${median(took).toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`,
    goal: 'p99 ≤ 250 ms',
    met: p99 <= 250,
  }
}

function openSocket(url: string, bead: string, heard: (text: string) => void): Promise<() => void> {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws`, { perMessageDeflate: false })
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.on('open', () =>
      socket.send(JSON.stringify({ type: 'subscribe', rooms: [`bead:${bead}`], rid: 1 })),
    )
    socket.on('message', (data) => {
      const text = String(data)
      if (text.includes('"rid":1')) resolve(() => socket.terminate())
      else heard(text)
    })
  })
}

function openSse(url: string, bead: string, heard: (text: string) => void): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const out = request(`${url}/api/stream?rooms=bead:${bead}`, { agent: false }, (answer) => {
      let ready = false
      answer.setEncoding('utf8')
      answer.on('error', () => {})
      answer.on('data', (text: string) => {
        if (ready) heard(text)
        else resolve(() => out.destroy())
        ready = true
      })
    })
    out.on('error', reject)
    out.end()
  })
}

/** A call of a tool beside the same request in a pipe, one after the other. */
async function mcp(server: BenchServer): Promise<Row[]> {
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, [BIN, 'mcp'], {
    env: { PATH, HOME, DATABASE_URL: server.url, SWARM_REPO: REPO },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const waiting: ((text: string) => void)[] = []
  createInterface({ input: child.stdout }).on('line', (text) => waiting.shift()?.(text))
  let id = 0
  const send = (method: string, params: object) =>
    new Promise<string>((resolve) => {
      waiting.push(resolve)
      child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: ++id, method, params })}\n`)
    })
  const hello = {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'bench', version: '1' },
  }
  await send('initialize', hello)
  child.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
  const list = JSON.parse(await send('tools/list', {}))
  const bytes = Buffer.byteLength(JSON.stringify(list.result))
  const pipe = openSession({ DATABASE_URL: server.url, SWARM_REPO: REPO })
  const rounds = { mcp: [] as number[], pipe: [] as number[] }
  const each = async (call: () => Promise<unknown>, count: number) => {
    const begun = performance.now()
    for (let n = 0; n < count; n++) await call()
    return (performance.now() - begun) / count
  }
  const calls = {
    mcp: () => send('tools/call', { name: 'show', arguments: { bead_id: 'b7' } }),
    pipe: () => pipe.send([{ cmd: 'show', bead_id: 'b7' }]),
  }
  await each(calls.mcp, 300)
  await each(calls.pipe, 300)
  for (let round = 0; round < 5; round++) {
    rounds.mcp.push(await each(calls.mcp, 500))
    rounds.pipe.push(await each(calls.pipe, 500))
  }
  child.stdin.end()
  await once(child, 'close')
  await pipe.close()
  const [call, line] = [median(rounds.mcp), median(rounds.pipe)]
  return [
    {
      what: 'MCP call (show)',
      value: `${call.toFixed(2)} ms`,
      against: `the pipe: ${line.toFixed(2)} ms`,
      ratio: (call / line).toFixed(2),
      goal: '≤ 1.5',
      met: call / line <= 1.5,
    },
    { what: 'tools/list', value: `${bytes} bytes`, goal: '≤ 12,288', met: bytes <= 12_288 },
  ]
}

function memoryOf(pid: number): number {
  const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib ?? 0) / 1_024
}
