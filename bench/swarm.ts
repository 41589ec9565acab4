import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export const BIN = join(process.env.SWARM_BENCH_ROOT ?? process.cwd(), 'bin', 'swarm')

export interface Session {
  /** Sends lines and resolves with their answers, in order. Throws when one failed. */
  send(lines: readonly object[]): Promise<readonly Record<string, unknown>[]>
  close(): Promise<void>
}

/** A piped session that answers in line order. */
export function openSession(env: Readonly<Record<string, string | undefined>>): Session {
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, [BIN], {
    env: { PATH, HOME, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const waiting: ((line: string) => void)[] = []
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.(line))
  const next = () => new Promise<string>((resolve) => waiting.push(resolve))
  return {
    async send(lines) {
      const answers = lines.map(next)
      child.stdin.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
      return (await Promise.all(answers)).map((text) => {
        const envelope = JSON.parse(text)
        if (!envelope.ok) throw new Error(text)
        return envelope.d
      })
    },
    async close() {
      child.stdin.end()
      await once(child, 'close')
    },
  }
}
