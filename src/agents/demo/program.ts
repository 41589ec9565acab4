import { randomUUID } from 'node:crypto'
import { demoScriptSchema } from '../../contract/demo-script.ts'
import { textOf } from '../fields.ts'
import { faultsFor } from './faults.ts'
import { DemoPipe } from './pipe.ts'
import { workOnce } from './work.ts'

/** Far longer than anybody waits; a timer keeps the process alive. */
const FOR_EVER_MS = 2_147_483_647

/**
 * The demo agent: a small program that does what a coding agent does, without a model. It reads orders on stdin and works in its
 * directory, in the lines of adapter `command`. `script` is its one argument, JSON; docs/AGENTS.md describes the faults in it.
 */
export async function runDemoSession(script: string): Promise<void> {
  const orders = demoScriptSchema.parse(JSON.parse(script))
  const pipe = new DemoPipe(process.stdin, process.stdout)
  const { resume, prompt } = await pipe.orders
  const { SWARM_BEAD_ID, SWARM_STAGE, SWARM_ATTEMPT } = process.env
  const work = {
    bead: SWARM_BEAD_ID ?? 'work',
    stage: SWARM_STAGE,
    attempt: Number(SWARM_ATTEMPT ?? 1),
    resumed: typeof resume === 'string',
  }
  const faults = faultsFor(orders, work)
  if (faults.has('ignore_sigterm')) process.on('SIGTERM', () => {})
  if (faults.has('hang_at_start')) return hang()
  const early = faults.get('exit_at_start')
  if (early) return leave(early.code ?? 1)
  await pipe.say('ready', { session: textOf(resume) ?? randomUUID(), model: 'demo', version: '1' })
  if (prompt === undefined) {
    await pipe.say('result', { ok: false, reason: 'configuration', detail: 'there is no prompt' })
    return leave(1)
  }
  const result = await workOnce(pipe, orders, work, faults)
  if (result === null) return leave(faults.get('no_result')?.code ?? 0)
  await pipe.say('result', result)
  if (faults.has('hang_after_result')) return hang()
  await furtherPrompts(pipe)
  leave(result.ok === true ? 0 : 1)
}

/** Until stdin ends, whatever is sent is another prompt with a result of its own. */
async function furtherPrompts(pipe: DemoPipe): Promise<void> {
  let isOver = false
  pipe.ended.then(() => {
    isOver = true
  })
  while (!isOver) {
    await Promise.race([pipe.news(), pipe.ended])
    for (const text of pipe.heard()) {
      await pipe.say('output', { text: `Heard: ${text}` })
      await pipe.say('result', { ok: true, detail: text })
    }
  }
}

function hang(): void {
  setTimeout(() => {}, FOR_EVER_MS)
}

function leave(code: number): void {
  process.exitCode = code
  process.stdin.destroy()
}
