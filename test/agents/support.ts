import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Adapter, SessionOrders } from '../../src/agents/adapter.ts'
import type { Dialogue, Step } from '../../src/agents/dialogue.ts'
import type { AgentEvent, ResultEvent } from '../../src/agents/events.ts'
import { type AgentSession, startSession } from '../../src/agents/session.ts'
import type { AgentSettings } from '../../src/contract/agents-config.ts'
import type { DemoScript } from '../../src/contract/demo-script.ts'

export const SWARM = join(__dirname, '..', '..', 'bin', 'swarm')
const PATH = process.env.PATH ?? '/usr/bin:/bin'

/** The orders of a session that is never started: for parsers. */
export const ordersFor = (
  settings: Partial<AgentSettings> = {},
  more: Partial<SessionOrders> = {},
): SessionOrders => ({
  settings: { adapter: 'command', ...settings },
  prompt: 'write the file',
  cwd: '/repo',
  home: '/home/agent',
  tmp: '/tmp/agent',
  path: PATH,
  ...more,
})

/** All events of a stream of lines, or of objects that stand for them. */
export function hear(dialogue: Dialogue, lines: readonly (string | object)[]): readonly AgentEvent[] {
  return lines.flatMap((line) => {
    const step = dialogue.line(typeof line === 'string' ? line : JSON.stringify(line))
    return step.events ?? []
  })
}

/** The lines of a step as objects. */
export const written = (step: Step | undefined): readonly unknown[] =>
  (step?.write ?? []).map((line) => JSON.parse(line))

export const kinds = (events: readonly AgentEvent[]) => events.map(({ kind }) => kind)

/** A directory with a git repository of one commit in it, and room for sessions. */
export class Scratch {
  readonly dir = mkdtempSync(join(tmpdir(), 'swarm-agents-'))
  readonly repo = join(this.dir, 'repo')
  #sessions: AgentSession[] = []
  #count = 0

  constructor() {
    mkdirSync(this.repo)
    this.git('init', '-q', '-b', 'main')
    this.git('config', 'user.name', 'Agent')
    this.git('config', 'user.email', 'agent@example.invalid')
    writeFileSync(join(this.repo, 'README.md'), 'scratch\n')
    this.git('add', '.')
    this.git('commit', '-q', '-m', 'first')
  }

  git(...args: readonly string[]): string {
    const env = { PATH, HOME: this.dir, GIT_CONFIG_NOSYSTEM: '1' }
    return execFileSync('git', args, { cwd: this.repo, env, encoding: 'utf8' }).trim()
  }

  async start(adapter: Adapter, orders: Partial<SessionOrders> & Pick<SessionOrders, 'settings'>) {
    const place = join(this.dir, `session-${++this.#count}`)
    const session = await startSession(adapter, {
      prompt: 'write the file',
      cwd: this.repo,
      home: join(place, 'home'),
      tmp: join(place, 'tmp'),
      path: PATH,
      ...orders,
    })
    this.#sessions.push(session)
    return new Watched(session, orders.home ?? join(place, 'home'))
  }

  /** Ends what a failed test has left, then the directory. */
  async remove(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.end({ lingerMs: 0 })))
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** A session whose events are collected. */
export class Watched {
  readonly session: AgentSession
  readonly home: string
  readonly events: AgentEvent[] = []
  /** Resolves when there will be no more events. */
  readonly over: Promise<void>
  #wake: (() => void)[] = []

  constructor(session: AgentSession, home: string) {
    this.session = session
    this.home = home
    this.over = this.#read()
  }

  /** The first event that fits, from `from` on; throws when the events end without one. */
  async until<K extends AgentEvent['kind']>(
    kind: K,
    fits: (event: Extract<AgentEvent, { kind: K }>) => boolean = () => true,
    from = 0,
  ): Promise<Extract<AgentEvent, { kind: K }>> {
    let isOver = false
    this.over.then(() => {
      isOver = true
    })
    for (let at = from; ; at++) {
      while (at >= this.events.length) {
        if (isOver) throw new Error(`no ${kind} in ${JSON.stringify(this.events).slice(-2_000)}`)
        await Promise.race([new Promise<void>((resolve) => this.#wake.push(resolve)), this.over])
      }
      const event = this.events[at]
      // the kind is what tells the events apart
      if (event?.kind === kind && fits(event as Extract<AgentEvent, { kind: K }>)) {
        return event as Extract<AgentEvent, { kind: K }>
      }
    }
  }

  /** The result of the first prompt. */
  result(): Promise<ResultEvent> {
    return this.until('result')
  }

  async #read(): Promise<void> {
    for await (const event of this.session.events) {
      this.events.push(event)
      for (const wake of this.#wake.splice(0)) wake()
    }
  }
}

/** Settings of the demo agent with a script. */
export const demo = (script: DemoScript = {}, settings: Partial<AgentSettings> = {}): AgentSettings => ({
  adapter: 'demo',
  command: [process.execPath, SWARM],
  args: [JSON.stringify(script)],
  ...settings,
})
