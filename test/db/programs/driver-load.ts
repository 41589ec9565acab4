/**
 * Run as a process of its own: writes, appends, reads and transactions for some seconds while somebody kills its backends. Prints
 * one JSON line with what was acknowledged.
 *
 * argv: URL, seconds, workers
 */
import { randomUUID } from 'node:crypto'
import { SwarmError } from '../../../src/contract/errors.ts'
import { openDatabase } from '../../../src/db/database.ts'

const [, , url = '', seconds = '3', workers = '6'] = process.argv

async function main(): Promise<void> {
  const db = openDatabase(
    { kind: 'url', url },
    // as long as a busy machine with a slow disk may take to bring the server back
    { connectTimeoutMs: 60_000, holder: 'load', max: 4, statementTimeoutMs: 60_000 },
  )
  // a server that never answered is away at once: the faults may have begun before this process did
  for (;;) {
    try {
      await db.read('select 1', [])
      break
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const until = performance.now() + Number(seconds) * 1_000
  const acknowledged: string[] = []
  const failures: Record<string, number> = {}
  let longest = 0
  let reads = 0
  let replays = 0

  const bump = (key: string) => ({ cmd: 'bump', repo: 'r', args: { name: 'load' }, key })
  const kinds = [
    async () => {
      const key = randomUUID()
      if ((await db.write(bump(key))).replayed) replays += 1
      acknowledged.push(key)
    },
    async () => {
      const keys = Array.from({ length: 5 }, () => randomUUID())
      const results = await db.append(keys.map(bump))
      for (const [at, result] of results.entries()) {
        if (result.status === 'rejected') throw result.reason
        if (result.value.replayed) replays += 1
        acknowledged.push(keys[at] ?? '')
      }
    },
    async () => {
      await db.read('select count(*) from swarm.bumps where key = $1', ['x'])
      reads += 1
    },
    async () => {
      const keys = [randomUUID(), randomUUID()]
      await db.transaction(
        async (tx) => {
          for (const key of keys) await tx.write(bump(key))
        },
        { keyed: true },
      )
      acknowledged.push(...keys)
    },
  ]

  async function work(worker: number): Promise<void> {
    for (let turn = worker; performance.now() < until; turn += 1) {
      const started = performance.now()
      try {
        await kinds[turn % kinds.length]?.()
        db.notify('r')
      } catch (error) {
        const name = error instanceof SwarmError ? `${error.code} ${error.message}` : String(error)
        failures[name] = (failures[name] ?? 0) + 1
      }
      longest = Math.max(longest, performance.now() - started)
    }
  }

  await Promise.all(Array.from({ length: Number(workers) }, (_, worker) => work(worker)))
  await db.close()
  process.stdout.write(`${JSON.stringify({ acknowledged, failures, longest, reads, replays })}\n`)
}

void main()
