import { type AnyCommand, type Catalog, loadVerb } from '../../contract/command.ts'
import { exitCodeOfReply, type Reply } from '../../contract/envelope.ts'
import type { FixRequest } from '../../contract/errors.ts'
import { getLogger } from '../../logger.ts'
import type { Connections } from '../../runtime/connections.ts'
import { createDispatcher } from '../../runtime/dispatch.ts'
import { encodeReply } from '../../wire/encode.ts'
import { guard } from '../../wire/guard.ts'
import { inspect } from '../../wire/inspect.ts'
import { readCommandLine } from '../cli/program.ts'
import { renderShell } from '../cli/render.ts'
import { type Answer, isShared, OWN, type Question } from './talk.ts'

export interface Resident {
  readonly catalog: Catalog
  readonly env: NodeJS.ProcessEnv
  /** The pools that all its clients share. */
  readonly connections: Connections
}

const FULL: Answer = { full: true }

/** Answers one command line as a process of its own would, where nothing of it depends on that process. Throws what a fault throws. */
export async function answer(resident: Resident, question: Question): Promise<Answer> {
  if (!isSameWorld(resident.env, question.env)) return FULL
  const { catalog } = resident
  let readsStdin = false
  const intent = await readCommandLine(catalog, question.argv, async () => {
    readsStdin = true
    return ''
  })
  if (readsStdin || intent.kind !== 'run' || intent.format !== 'json') return FULL
  const command = await loadVerb(catalog, String(intent.request.cmd))
  if (!command || !isPlain(command)) return FULL
  return run(resident, question, intent.request)
}

async function run(resident: Resident, question: Question, request: FixRequest): Promise<Answer> {
  const dispatcher = createDispatcher({
    catalog: resident.catalog,
    env: envOf(resident.env, question.env),
    cwd: question.cwd,
    render: renderShell,
    surface: 'oneshot',
    connections: resident.connections,
    operationKey: question.key,
  })
  const onFault = (err: unknown) => getLogger().error({ err }, 'a fault while answering a request')
  const handler = guard(dispatcher, onFault)
  const lines: string[] = []
  const write = (reply: Reply): number => {
    const encoded = encodeReply(reply, undefined, renderShell, onFault)
    lines.push(encoded.text)
    return exitCodeOfReply(encoded.reply)
  }
  try {
    const flaw = inspect(request)
    const accepted = flaw ? handler.refuse(flaw) : await handler.accept(request)
    if ('ok' in accepted) return { code: write(accepted), text: lines.join('') }
    if (accepted.waits) return FULL
    const reply = await handler.run(accepted, async (ahead) => {
      for (const one of ahead) write(one)
    })
    return { code: write(reply), text: lines.join('') }
  } finally {
    await dispatcher.close()
  }
}

/** A verb that acts on the database alone. */
function isPlain({ effect, needs = 'database', hostBound, alone }: AnyCommand): boolean {
  return needs === 'database' && effect !== 'local' && hostBound !== true && alone !== true
}

function isSameWorld(own: NodeJS.ProcessEnv, client: Question['env']): boolean {
  const names = new Set([...Object.keys(own), ...Object.keys(client)].filter(isShared))
  return [...names].every((name) => own[name] === client[name])
}

/** The environment of this process with what is the client's own put in its place. */
function envOf(own: NodeJS.ProcessEnv, client: Question['env']): NodeJS.ProcessEnv {
  const env = { ...own }
  for (const name of OWN) {
    delete env[name]
    if (client[name] !== undefined) env[name] = client[name]
  }
  return env
}
