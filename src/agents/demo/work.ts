import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { DemoFault, DemoFaultName, DemoScript } from '../../contract/demo-script.ts'
import type { JsonObject } from '../../contract/json.ts'
import { runCommand } from '../../process/index.ts'
import type { DemoWork } from './faults.ts'
import type { DemoPipe } from './pipe.ts'

type Faults = ReadonlyMap<DemoFaultName, DemoFault>

const PACE_MS = 20
const SHARED_FILE = 'demo/shared.txt'
/** Starts a child that outlives it, in a session of its own. Constant text: nobody's words are in it. */
const LEAVER = `require('node:child_process').spawn('sleep', ['600'], { detached: true, stdio: 'ignore' }).unref()`
const BURNER = `const end = Date.now() + Number(process.argv[1]); while (Date.now() < end);`

/** The demo agent's work on one prompt, and what goes wrong with it. Answers the fields of its result; null: it says none. */
export async function workOnce(
  pipe: DemoPipe,
  script: DemoScript,
  work: DemoWork,
  faults: Faults,
): Promise<JsonObject | null> {
  const stopped = await stopBefore(pipe, faults)
  if (stopped) return stopped
  await pipe.say('output', { text: `Working on ${work.bead}.` })
  await noise(pipe, faults)
  const asked = await ask(pipe, faults)
  if (asked.denied) return { ok: true, detail: 'the tool was denied; nothing is done' }
  if (faults.has('fork_and_leave')) await tool(pipe, 'background', 'a child that stays', () => leave())
  const silent = faults.get('silent_tool')
  if (silent) await tool(pipe, 'shell', `${silent.ms ?? 1_000} ms`, () => sleepOrBurn(silent, pipe.signal))
  if (faults.has('repeat_tool')) {
    for (let i = 0; i < 6; i++) await tool(pipe, 'shell', 'make the same again', async () => 'the same error')
  }
  await delay(script.pace_ms ?? PACE_MS, undefined, { signal: pipe.signal }).catch(() => {})
  if (pipe.signal.aborted) return { ok: false, reason: 'interrupted', detail: 'stopped as asked' }
  const edits = !faults.has('fake_done') && (work.stage === undefined || work.stage === 'implement')
  if (edits) {
    const file = faults.has('conflict') ? SHARED_FILE : (script.file ?? `demo/${safeName(work.bead)}.txt`)
    await tool(pipe, 'edit', file, async () => edit(file, faults.has('conflict'), work, asked.answer))
    if (faults.has('crash')) process.kill(process.pid, 'SIGKILL')
    const failure = await commit(pipe, file, work)
    if (failure) return { ok: false, reason: 'failed', detail: failure }
    if (faults.has('dirty_tree')) writeFileSync('demo/left-behind.txt', 'not committed\n')
  }
  await pipe.say('usage', { input: 1_000, output: 50, cache_read: 200, cost_usd: 0.001 })
  await pipe.say('turn_ended')
  for (const text of pipe.heard()) await pipe.say('output', { text: `Heard: ${text}` })
  if (faults.has('no_result')) return null
  if (faults.has('failed')) return { ok: false, reason: 'failed', detail: 'I could not do it.' }
  // who only checks has to say what came of it
  const verdict = work.stage === undefined || work.stage === 'implement' ? '' : '\nVERDICT: passed'
  return { ok: true, detail: `Done with ${work.bead}.${verdict}` }
}

/** The model's service says no before anything is done. */
async function stopBefore(pipe: DemoPipe, faults: Faults): Promise<JsonObject | undefined> {
  const quota = faults.get('quota')
  if (quota) {
    const until = new Date(Date.now() + (quota.ms ?? 60_000)).toISOString()
    await pipe.say('rate_limited', { state: 'reached', until, limit: 'demo' })
    return { ok: false, reason: 'quota', detail: `The demo quota is used up until ${until}` }
  }
  if (!faults.has('overload')) return undefined
  for (let attempt = 1; attempt <= 3; attempt++) {
    await pipe.say('retrying', { cause: 'overloaded', attempt, detail: 'the demo service is busy' })
    await delay(5)
  }
  return { ok: false, reason: 'overloaded', detail: 'the demo service stayed busy' }
}

async function noise(pipe: DemoPipe, faults: Faults): Promise<void> {
  if (faults.has('not_json')) await pipe.write('warning: this is no JSON\n{"half": \n')
  const flood = faults.get('flood')
  const line = `${'all work and no play '.repeat(40)}\n`
  for (let left = flood?.bytes ?? (flood ? 10_000_000 : 0); left > 0; left -= line.length)
    await pipe.write(line)
  const long = faults.get('long_line')
  if (long) await pipe.say('output', { text: 'x'.repeat(long.bytes ?? 50_000_000) })
}

async function ask(
  pipe: DemoPipe,
  faults: Faults,
): Promise<{ readonly answer?: string; readonly denied?: true }> {
  if (faults.has('permission')) {
    const id = randomUUID()
    await pipe.say('permission', { id, tool: 'edit', input: 'a file' })
    const said = await pipe.answerTo(id)
    if (said?.allow !== true) return { denied: true }
  }
  if (!faults.has('question')) return {}
  const id = randomUUID()
  await pipe.say('question', { id, text: 'Which colour?', options: ['red', 'blue'] })
  const said = await pipe.answerTo(id)
  return typeof said?.text === 'string' ? { answer: said.text } : {}
}

async function tool(
  pipe: DemoPipe,
  name: string,
  input: string,
  work: () => Promise<string | undefined>,
): Promise<void> {
  const id = randomUUID()
  await pipe.say('tool_started', { id, name, input })
  const output = await work()
  await pipe.say('tool_ended', { id, ok: true, output: output ?? '' })
}

async function leave(): Promise<undefined> {
  await runCommand({ argv: [process.execPath, '-e', LEAVER], cwd: process.cwd() })
}

/** A tool that says nothing while it runs, in a process group of its own as those of real agents are. */
async function sleepOrBurn({ ms = 1_000, busy }: DemoFault, signal: AbortSignal): Promise<undefined> {
  const argv = busy ? [process.execPath, '-e', BURNER, String(ms)] : ['sleep', String(ms / 1_000)]
  await runCommand({ argv, cwd: process.cwd(), signal })
}

/** Adds a line to a file of its own, or replaces the first line of one that all share. */
async function edit(
  file: string,
  shared: boolean,
  work: DemoWork,
  answer: string | undefined,
): Promise<undefined> {
  mkdirSync(dirname(file), { recursive: true })
  const before = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const line = `${work.bead}, ${work.stage ?? 'work'}, attempt ${work.attempt}${answer ? `: ${answer}` : ''}\n`
  writeFileSync(file, shared ? before.replace(/^.*\n|^$/, line) : before + line)
}

/** Commits the file; git's words when it refuses. */
async function commit(pipe: DemoPipe, file: string, work: DemoWork): Promise<string | undefined> {
  const message = `Work on ${work.bead}`
  const commands = [
    ['git', 'add', '--', file],
    ['git', 'commit', '-q', '-m', message],
  ]
  let failure: string | undefined
  await tool(pipe, 'shell', `git commit -m '${message}'`, async () => {
    for (const argv of commands) {
      const { exitCode, output } = await runCommand({ argv, cwd: process.cwd(), timeoutMs: 30_000 })
      if (exitCode === 0) continue
      failure = output.text.trim()
      break
    }
    return failure
  })
  return failure
}

const safeName = (text: string) => text.replace(/[^A-Za-z0-9._-]+/g, '-').slice(0, 100) || 'work'
