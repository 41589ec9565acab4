/**
 * Run as a process of its own: appends events with plain SQL in all the ways that there are, until its stdin ends. Prints one JSON
 * line for each transaction with what became of it.
 *
 * argv: URL, repo, name of this writer, seed, whether it says when something changed, mean pause in ms
 */
import { setTimeout as delay } from 'node:timers/promises'
import postgres from 'postgres'
import { pick, seeded } from '../support/random.ts'

const [, , url = '', repo = '', name = '', seed = '1', tells = '', pauseMs = '5'] = process.argv
const STATEMENT_MS = 3_000

const random = seeded(Number(seed))
let running = true
let client: postgres.Sql | undefined
let made = 0

class RolledBack extends Error {}

async function main(): Promise<void> {
  process.stdin.on('end', () => {
    running = false
  })
  process.stdin.resume()
  process.stdout.on('error', () => process.exit())
  while (running) {
    const ids: string[] = []
    const outcome = await attempt(ids)
    process.stdout.write(`${JSON.stringify({ outcome, ids })}\n`)
    await delay(random() * 2 * Number(pauseMs))
  }
  process.exit()
}

/** One transaction of a random form. After any fault the client is thrown away: it cannot be trusted any more. */
async function attempt(ids: string[]): Promise<'committed' | 'rolled back' | 'unknown'> {
  client ??= postgres(url, {
    max: 1,
    connect_timeout: 3,
    // the driver's own query for them is awaited by nobody: when its connection is ended, the process would end too
    fetch_types: false,
    backoff: () => 0.05,
    onnotice: () => {},
  })
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('late')), STATEMENT_MS)
  })
  try {
    await Promise.race([write(client, ids), late])
    return 'committed'
  } catch (error) {
    if (error instanceof RolledBack) return 'rolled back'
    const broken = client
    client = undefined
    broken.end({ timeout: 0 }).catch(() => {})
    await delay(20)
    return 'unknown'
  } finally {
    clearTimeout(timer)
  }
}

async function write(sql: postgres.Sql, ids: string[]): Promise<void> {
  const form = random()
  if (form < 0.4) {
    await insert(sql, ids, 1)
  } else if (form < 0.55) {
    await insert(sql, ids, 2 + Math.floor(random() * 4))
  } else {
    await sql.begin(async (transaction) => {
      await insert(transaction, ids, 1)
      // two inserts with others in between: the second number of this transaction is far from the first
      if (form < 0.75) {
        await delay(2)
        await insert(transaction, ids, 1)
      }
      // long enough that readers look at who holds the log, and others go on meanwhile
      if (random() < 0.01) await delay(150 + random() * 400)
      if (form > 0.9) throw new RolledBack()
    })
  }
  if (tells === 'tells' && random() < 0.5) await sql`select pg_notify('swarm', ${repo})`
}

async function insert(sql: postgres.ISql, ids: string[], count: number): Promise<void> {
  const fresh = Array.from({ length: count }, () => `${name}-${++made}`)
  ids.push(...fresh)
  const type = pick(['torture_a', 'torture_a', 'torture_b'], random)
  const payload = JSON.stringify({ text: 'x'.repeat(Math.floor(random() * 200)) })
  // in one round trip, as the product does it: between two of them a server waits for a half-open client without any bound
  const options = { prepare: true, describeFirst: false }
  await sql.unsafe(
    `insert into swarm.execution_events (event_type, entity_id, repo_id, payload)
     select $1::text, id, $2::text, $3::text::jsonb from jsonb_array_elements_text($4::text::jsonb) id`,
    [type, repo, payload, JSON.stringify(fresh)],
    options,
  )
}

void main()
