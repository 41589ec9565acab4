import { writeSync } from 'node:fs'
import { connect } from 'node:net'
import { isatty } from 'node:tty'
import { findRoot } from '../../root/find.ts'
import { isOwn, MAX_PATH_BYTES, socketOf } from '../../root/run-dir.ts'
import { type Answer, BEAT_MS, isShared, KEY, OWN, type Question } from './talk.ts'

/** Somebody who reads says so in less, also on a busy machine; else the process is frozen. */
const GREETING_MS = 2_000
/** Without a sign of life for so long, in ms, the resident has died or been frozen. */
const SILENCE_MS = 5 * BEAT_MS

/**
 * Has a process of the root that is there anyway answer a one-shot call, in the time of a bare `node`. Whatever is not plain (no such
 * process, another build, a verb that needs this process, a terminal, no answer in time) is left to `full`, the whole program; a write
 * that may have been made goes out there again under the same key.
 */
export function askResident(build: string, full: () => void): void {
  const question = questionOf(build)
  if (question === undefined) {
    full()
    return
  }
  const socket = connect(socketOf(question.root).socket)
  let text = ''
  let over = false
  let timer = watch(GREETING_MS)

  /** Time that passed while this process itself was not running counts only when nothing has come meanwhile. */
  function watch(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      const heard = text
      setImmediate(() => {
        if (text === heard) giveUp()
      })
    }, ms)
  }

  function giveUp(): void {
    if (over) return
    over = true
    clearTimeout(timer)
    socket.destroy()
    Reflect.set(globalThis, KEY, question?.key)
    full()
  }

  socket.setEncoding('utf8')
  socket.on('connect', () => socket.write(`${JSON.stringify(question)}\n`))
  socket.on('data', (chunk: string) => {
    text += chunk
    clearTimeout(timer)
    timer = watch(SILENCE_MS)
  })
  socket.on('error', giveUp)
  socket.on('close', () => {
    if (over) return
    const answer = answerIn(text)
    if (answer === undefined || 'full' in answer) return giveUp()
    over = true
    clearTimeout(timer)
    print(answer.text, answer.code)
  })
}

function questionOf(build: string): Question | undefined {
  const { env } = process
  const [, , ...argv] = process.argv
  const [verb] = argv
  if (verb === undefined || verb.startsWith('-') || env.SWARM_RESIDENT === '0' || isatty(1)) return undefined
  const cwd = process.cwd()
  const root = findRoot(cwd, env)
  if (root === null) return undefined
  const { dir, socket } = socketOf(root)
  if (Buffer.byteLength(socket) > MAX_PATH_BYTES || !isOwn(dir, 'directory') || !isOwn(socket, 'socket'))
    return undefined
  const key = [process.pid, Date.now(), Math.random(), Math.random()].map((one) => one.toString(36)).join('-')
  return { build, root, cwd, argv, env: sentOf(env), key }
}

function sentOf(env: NodeJS.ProcessEnv): Record<string, string> {
  const sent: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && (OWN.includes(name) || isShared(name))) sent[name] = value
  }
  return sent
}

/** The end of the conversation, when it has come whole. */
function answerIn(text: string): Answer | undefined {
  if (!text.endsWith('\n')) return undefined
  try {
    const answer: Answer = JSON.parse(text.slice(text.trimEnd().lastIndexOf('\n') + 1))
    return 'full' in answer || typeof answer.text === 'string' ? answer : undefined
  } catch {
    return undefined
  }
}

function print(text: string, code: number): void {
  process.exitCode = code
  const bytes = Buffer.from(text)
  let from = 0
  try {
    while (from < bytes.length) from += writeSync(1, bytes, from)
  } catch (error) {
    const failure: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error))
    // a reader that is slow is waited for; one that has gone is no fault
    if (failure.code === 'EAGAIN') process.stdout.on('error', () => {}).write(bytes.subarray(from))
    else if (failure.code !== 'EPIPE') throw failure
  }
}
