import { tmpdir } from 'node:os'
import { afterAll, expect } from 'vitest'
import { catalog, loaders } from '../../src/commands/registry.ts'
import { type Envelope, type Reply, renderLine, toEnvelope } from '../../src/contract/envelope.ts'
import { isJsonObject, type Json, type JsonObject } from '../../src/contract/json.ts'
import { createDispatcher, type Dispatcher, type Prepared } from '../../src/runtime/dispatch.ts'

/** Requests of one process to one database, without a process: the dispatcher that every surface runs on. */
export interface Session {
  readonly dispatcher: Dispatcher
  /** The envelope of a request. */
  send(request: JsonObject): Promise<Envelope>
  /** `d` of a request that must succeed, checked against the verb's output schema. */
  ask(request: JsonObject): Promise<JsonObject>
  /** The failed envelope of a request that must fail. */
  refused(request: JsonObject): Promise<Envelope & { ok: false }>
}

/** Opens a session; it is closed when the test file is done. */
export function openSession(url: string, repo: string, env: Readonly<Record<string, string>> = {}): Session {
  const dispatcher = createDispatcher({
    catalog,
    env: { DATABASE_URL: url, SWARM_REPO: repo, ...env },
    cwd: tmpdir(),
    render: renderLine,
    surface: 'pipe',
  })
  afterAll(() => dispatcher.close())
  const send = async (request: JsonObject): Promise<Envelope> => {
    const accepted = await dispatcher.accept(request)
    return toEnvelope(
      isReply(accepted) ? accepted : await dispatcher.run(accepted, async () => {}),
      renderLine,
    )
  }
  return {
    dispatcher,
    send,
    async ask(request) {
      const envelope = await send(request)
      if (!envelope.ok) throw new Error(`${JSON.stringify(request)} answered ${JSON.stringify(envelope)}`)
      const { d } = envelope
      if (!isJsonObject(d)) throw new Error(`${JSON.stringify(request)} answered ${JSON.stringify(d)}`)
      if (!request.dry) await expectShape(String(request.cmd), d)
      return d
    },
    async refused(request) {
      const envelope = await send(request)
      if (envelope.ok) throw new Error(`${JSON.stringify(request)} answered ${JSON.stringify(envelope)}`)
      return envelope
    },
  }
}

function isReply(accepted: Prepared | Reply): accepted is Reply {
  return 'ok' in accepted
}

/** Fails unless an answer has exactly the keys that its verb's output schema allows. */
async function expectShape(cmd: string, d: JsonObject): Promise<void> {
  const command = await loaders[cmd]?.()
  const parsed = command?.output.safeParse(d)
  expect(parsed, `${cmd} answers its own shape`).toMatchObject({ success: true })
  expect(parsed?.data, `${cmd} answers nothing beside its shape`).toEqual(d)
}

/** The list under a name of an answer. */
export function rowsOf(d: JsonObject, name: string): JsonObject[] {
  const rows = d[name]
  if (!Array.isArray(rows)) throw new Error(`${name} is no list in ${JSON.stringify(d)}`)
  return rows.filter(isJsonObject)
}

/** One field of every row. */
export function column(rows: readonly JsonObject[], name: string): (Json | undefined)[] {
  return rows.map((row) => row[name])
}

/** Asks page after page, and gives all rows under `name`. Fails when it does not end. */
export async function allPages(session: Session, request: JsonObject, name: string): Promise<JsonObject[]> {
  const rows: JsonObject[] = []
  let after: Json | undefined
  for (let page = 0; page < 100; page++) {
    const d = await session.ask({ ...request, ...(after === undefined ? {} : { after }) })
    const some = rowsOf(d, name)
    if (typeof request.limit === 'number') expect(some.length).toBeLessThanOrEqual(request.limit)
    rows.push(...some)
    if (!d.more) return rows
    after = d.cursor
  }
  throw new Error(`${JSON.stringify(request)} does not end`)
}

/** True when an answer is what an example says: `$int` and the like by type, absent keys uncompared. */
export function matches(actual: Json | undefined, expected: Json | undefined): boolean {
  if (typeof expected === 'string' && expected.startsWith('$')) return isOfType(actual, expected)
  if (Array.isArray(expected)) {
    return (
      Array.isArray(actual) &&
      actual.length === expected.length &&
      expected.every((item, at) => matches(actual[at], item))
    )
  }
  if (isJsonObject(expected)) {
    return isJsonObject(actual) && Object.entries(expected).every(([key, item]) => matches(actual[key], item))
  }
  return actual === expected
}

function isOfType(actual: Json | undefined, type: string): boolean {
  switch (type) {
    case '$int':
      return Number.isInteger(actual)
    case '$string':
      return typeof actual === 'string'
    case '$time':
      return typeof actual === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(actual)
    default:
      return actual !== undefined
  }
}
