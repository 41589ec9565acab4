import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Envelope } from '../../src/contract/envelope.ts'
import type { JsonObject } from '../../src/contract/json.ts'
import { BIN, cleanEnv, type RunOptions } from '../support/swarm.ts'

export interface Conversation {
  /** One answer per request, in order. */
  readonly answers: readonly Envelope[]
  /** Everything that was written, lines of streams too. */
  readonly lines: readonly Envelope[]
  readonly stderr: string
}

/** Sends requests to one `swarm` process, each when the one before it has been answered. */
export async function converse(
  requests: readonly JsonObject[],
  { env, cwd }: Pick<RunOptions, 'env' | 'cwd'>,
): Promise<Conversation> {
  const child = spawn(process.execPath, [BIN], { env: cleanEnv(env), cwd })
  const closed = once(child, 'close')
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8')
  })
  child.stdin.on('error', () => {})
  const answers: Envelope[] = []
  const lines: Envelope[] = []
  const send = () => {
    const request = requests[answers.length]
    if (request) child.stdin.write(`${JSON.stringify(request)}\n`)
    else child.stdin.end()
  }
  send()
  for await (const line of createInterface({ input: child.stdout })) {
    const envelope: Envelope = JSON.parse(line)
    lines.push(envelope)
    if (envelope.ok && envelope.more) continue
    answers.push(envelope)
    send()
  }
  await closed
  return { answers, lines, stderr }
}
