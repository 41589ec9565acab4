import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { agentId } from '../contract/fields.ts'
import type { Json, JsonObject } from '../contract/json.ts'
import { readFunction } from '../runtime/read.ts'

const output = z.object({
  repo: z.string().describe('the scratch repo that was used; removed again'),
  steps: z.array(z.object({ step: z.string(), ms: z.int() })),
})

/** More than the default workflow has; a workflow that never ends would be a fault. */
const MOST_STAGES = 12

export default defineCommand({
  name: 'smoke',
  group: 'compat',
  summary: 'self-check: one bead through the whole loop in a scratch repo, with a real process, then removed',
  input: z.strictObject({ agent_id: agentId.max(100).optional().describe('1 by default') }),
  output,
  effect: 'write',
  hostBound: true,
  errors: [],
  examples: [
    {
      in: { cmd: 'smoke', rid: 'r1' },
      out: { repo: '$string', steps: '$any' },
    },
  ],
  waits: () => true,
  async run(ctx, { agent_id = 1 }) {
    const repo = `smoke-${crypto.randomUUID().slice(0, 8)}`
    const steps: z.output<typeof output>['steps'] = []
    const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
      const begun = performance.now()
      try {
        return await work()
      } catch (error) {
        throw failed(name, steps, error)
      } finally {
        steps.push({ step: name, ms: Math.round(performance.now() - begun) })
      }
    }
    const send = (request: JsonObject) => ctx.execute({ ...request, repo })
    try {
      await step('register', () => send({ cmd: 'register', count: agent_id }))
      await step('enqueue', () =>
        send({
          cmd: 'enqueue',
          beads: [
            { bead_id: 'first', title: 'self-check' },
            { bead_id: 'second', title: 'waits for the first', depends_on: ['first'] },
          ],
        }),
      )
      await step('claim', async () => {
        const claim = claimed.parse(await send({ cmd: 'claim-next', agent_id, require: true }))
        expect(claim.bead.bead_id === 'first', 'the bead that waits for another was claimed before it')
      })
      for (const bead of ['first', 'second'])
        await runStages(bead, (name) => step(name, () => runStage(send, agent_id, bead)))
      await step('messages', async () => {
        await send({ cmd: 'send', agent_id, to: agent_id, body: 'self-check' })
        const { messages } = inbox.parse(await send({ cmd: 'inbox', agent_id }))
        expect(messages.length === 1, 'a message that was sent did not arrive')
      })
      await step('invariants', () => checkInvariants(ctx, repo))
    } finally {
      await step('clean up', () =>
        ctx.db.write({ cmd: 'forget-smoke', repo, args: {}, key: `${ctx.key}/forget` }),
      )
    }
    return { repo, steps }
  },
  dry: async () => ['take two beads through the loop in a scratch repo, then remove it'],
})

const claimed = z.object({ bead: z.object({ bead_id: z.string() }) })
const inbox = z.object({ messages: z.array(z.unknown()) })
const once = z.object({
  ran: z
    .object({ bead_id: z.string(), stage: z.string(), outcome: z.string(), output: z.string() })
    .nullable(),
  transition: z.string().optional(),
})

type Send = (request: JsonObject) => Promise<Json>

/** Runs stages of a bead until it is finished. */
async function runStages(
  bead: string,
  stage: (name: string) => Promise<{ readonly finished: boolean }>,
): Promise<void> {
  for (let n = 1; n <= MOST_STAGES; n++) {
    if ((await stage(`run ${bead} stage ${n}`)).finished) return
  }
  throw new SwarmError('INTERNAL', `bead ${bead} is not finished after ${MOST_STAGES} stages`)
}

async function runStage(send: Send, agent_id: number, bead: string): Promise<{ readonly finished: boolean }> {
  const command = [process.execPath, '-e', '0']
  const { ran, transition } = once.parse(
    await send({
      cmd: 'run-once',
      agent_id,
      command,
      timeout_ms: 30_000,
      idem: `smoke-${crypto.randomUUID()}`,
    }),
  )
  expect(ran?.bead_id === bead, `bead ${bead} was expected, ${ran?.bead_id ?? 'none'} was run`)
  expect(ran?.outcome === 'passed', `a process that exits with 0 did not pass: ${ran?.output}`)
  return { finished: transition === 'finalize' }
}

async function checkInvariants(ctx: CommandContext, repo: string): Promise<void> {
  const found = await readFunction<Record<string, number>>(ctx, 'invariants', repo)
  const wrong = ['lost', 'doubled', 'miscounted', 'leases'].filter((name) => found[name] !== 0)
  expect(
    wrong.length === 0,
    `not 0 as they must be: ${wrong.map((name) => `${name} ${found[name]}`).join(', ')}`,
  )
  expect(found.completed === 2, `2 beads were finished, ${found.completed} are completed`)
}

function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new SwarmError('INTERNAL', otherwise)
}

function failed(step: string, steps: readonly JsonObject[], error: unknown): SwarmError {
  const cause = error instanceof SwarmError ? error : undefined
  const message = error instanceof Error ? error.message : String(error)
  return new SwarmError(cause?.code ?? 'INTERNAL', `the self-check failed at "${step}": ${message}`, {
    ...(cause ? { area: cause.area } : {}),
    ctx: { ...cause?.ctx, step, done: steps.map((done) => done.step ?? null) },
    fix: { cmd: 'doctor' },
    cause: error,
  })
}
