import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe } from 'vitest'
import type { Adapter, SessionOrders } from '../../src/agents/adapter.ts'
import type { AgentSettings } from '../../src/contract/agents-config.ts'
import { isJsonObject } from '../../src/contract/json.ts'
import { Scratch, type Watched } from '../agents/support.ts'
import type { Scenario } from '../support/stub-model/scenario.ts'
import { type StubModel, startStubModel } from '../support/stub-model/server.ts'

/** What `npm run test:cli` found. */
export function programOf(name: string): { readonly argv: readonly string[]; readonly missing?: string } {
  const all: unknown = JSON.parse(process.env.SWARM_CLI_PROGRAMS ?? '{}')
  const one = isJsonObject(all) ? all[name] : undefined
  if (!isJsonObject(one)) return { argv: [], missing: `${name} was not asked for` }
  if (typeof one.missing === 'string') return { argv: [], missing: one.missing }
  return { argv: Array.isArray(one.argv) ? one.argv.map(String) : [] }
}

/** What differs from program to program. */
export interface RealProgram {
  readonly name: string
  readonly adapter: Adapter
  /** Settings that lead it to the stub, with a made-up key. */
  settings(stub: StubModel, argv: readonly string[], dir: string): AgentSettings
}

/** A scenario that writes a file and says so. */
export const WRITES: Scenario = {
  turns: [{ say: 'I write it.', shell: 'echo hello > out.txt' }, { say: 'It is written.' }],
}
/** One whose tool runs until it is ended, with a child in the background. */
export const SLEEPS: Scenario = {
  turns: [{ say: 'This takes long.', shell: 'sleep 301 & sleep 302; echo late > out.txt' }, { say: 'Over.' }],
}

export interface Bench {
  readonly scratch: Scratch
  readonly stub: StubModel
  /** The program's settings with some of them changed. */
  settings(changes?: Partial<AgentSettings>): AgentSettings
  start(
    scenario: Scenario,
    orders?: Partial<SessionOrders>,
    changes?: Partial<AgentSettings>,
  ): Promise<Watched>
  /** What is in the file that the scenario writes. */
  written(): string | undefined
}

/** Runs tests of one real program; says why when it cannot. */
export function describeProgram(program: RealProgram, tests: (bench: () => Bench) => void): void {
  const { argv, missing } = programOf(program.name)
  describe.skipIf(missing !== undefined)(`${program.name}${missing ? ` (not run: ${missing})` : ''}`, () => {
    let stub: StubModel
    let scratch: Scratch
    beforeAll(async () => {
      stub = await startStubModel(WRITES)
    })
    afterAll(() => stub.close())
    beforeEach(() => {
      scratch = new Scratch()
    })
    afterEach(() => scratch.remove())
    const settings = (changes = {}) => ({ ...program.settings(stub, argv, scratch.dir), ...changes })
    tests(() => ({
      scratch,
      stub,
      settings,
      start(scenario, orders = {}, changes = {}) {
        stub.play(scenario)
        return scratch.start(program.adapter, { settings: settings(changes), ...orders })
      },
      written() {
        const file = join(scratch.repo, 'out.txt')
        return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined
      },
    }))
  })
}

/** Waits until something holds; the time-out of the test bounds it. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 50))
}
