import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { basename, join } from 'node:path'
import type { Catalog } from '../../contract/command.ts'
import { getLogger } from '../../logger.ts'
import { isOwn, isRead, MAX_PATH_BYTES, socketOf } from '../../root/run-dir.ts'
import { createConnections } from '../../runtime/connections.ts'
import { MAX_LINE_BYTES } from '../../wire/lines.ts'
import { answer, type Resident } from './answer.ts'
import { type Answer, BEAT_MS, type Question } from './talk.ts'

/** Where another resident stands, whether it still does is looked at so often, in ms. */
const LOOK_MS = 5_000
/** Questions that are answered at once; others wait their turn. */
const MOST_CLIENTS = 512

export interface ResidentOptions {
  readonly catalog: Catalog
  readonly env: NodeJS.ProcessEnv
  /** Directory that holds `.swarm/`. */
  readonly root: string
  /** Names this process to its database. */
  readonly holder: string
}

/** The build of this process: the name of its bundle holds a hash of it. */
export function ownBuild(): string {
  return basename(__filename)
}

/**
 * Answers one-shot calls of this user in this root, from now on until the returned function is called: while another process does so
 * already, it waits for its end. Where a socket cannot be made, nothing happens: calls then run by themselves.
 */
export function startResident(options: ResidentOptions): () => Promise<void> {
  const { dir, socket } = socketOf(options.root)
  if (Buffer.byteLength(socket) > MAX_PATH_BYTES) return async () => {}
  const resident: Resident = { ...options, connections: createConnections(options.holder) }
  let server: Server | undefined
  let stopped = false
  let looking: Promise<void> = Promise.resolve()

  const look = async (): Promise<void> => {
    if (stopped || server?.listening || (await isRead(socket)) || stopped) return
    makeDirectory(dir)
    server = await listen(resident, options.root, dir, socket)
  }
  const attempt = () => {
    looking = looking.then(look).catch((err: unknown) => {
      getLogger().debug({ err }, 'one-shot calls are not answered here')
    })
  }
  attempt()
  const timer = setInterval(attempt, LOOK_MS)
  timer.unref()

  return async () => {
    stopped = true
    clearInterval(timer)
    await looking
    const own = server
    if (own) {
      rmSync(socket, { force: true })
      await new Promise<void>((resolve) => own.close(() => resolve()))
    }
    await resident.connections.close()
  }
}

function makeDirectory(dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  if (lstatSync(dir).isDirectory()) chmodSync(dir, 0o700)
  if (!isOwn(dir, 'directory')) throw new Error(`${dir} is not this user's own`)
}

/** Takes the place only once it listens, so that nobody finds a socket that nobody reads. */
async function listen(resident: Resident, root: string, dir: string, socket: string): Promise<Server> {
  const fresh = join(dir, `${process.pid}.sock`)
  rmSync(fresh, { force: true })
  const server = createServer({ allowHalfOpen: true }, (client) => converse(resident, root, client))
  server.maxConnections = MOST_CLIENTS
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(fresh, resolve)
  })
  chmodSync(fresh, 0o600)
  renameSync(fresh, socket)
  server.unref()
  return server
}

function converse(resident: Resident, root: string, client: Socket): void {
  let text = ''
  let asked = false
  client.setEncoding('utf8')
  client.on('error', () => {})
  client.on('data', (chunk: string) => {
    if (asked) return
    text += chunk
    if (text.length > MAX_LINE_BYTES) return void client.destroy()
    if (!text.endsWith('\n')) return
    asked = true
    client.write('\n')
    const beat = setInterval(() => client.write('\n'), BEAT_MS)
    answerLine(resident, root, text)
      .catch((err: unknown): Answer => {
        getLogger().error({ err }, 'a fault while answering a call')
        return { full: true }
      })
      .then((said) => client.end(`${JSON.stringify(said)}\n`))
      .finally(() => clearInterval(beat))
  })
  client.on('end', () => {
    if (!asked) client.destroy()
  })
}

async function answerLine(resident: Resident, root: string, line: string): Promise<Answer> {
  // safe: whoever reaches this socket is this very user; a line of another build is not read further
  const question = JSON.parse(line) as Question
  if (question.build !== ownBuild() || question.root !== root) return { full: true }
  return answer(resident, question)
}
