/** Run as a process of its own: does a little of everything and ends without closing. argv: URL */
import { openDatabase } from '../../../src/db/database.ts'

const [, , url = ''] = process.argv

async function main(): Promise<void> {
  const db = openDatabase({ kind: 'url', url }, { connectTimeoutMs: 5_000, holder: 'exit' })
  await db.script(`do $$ begin raise notice 'not on stdout'; end $$`)
  await Promise.all([db.read('select pg_sleep(0.05)'), db.read('select 1')])
  await db.transaction((tx) => tx.read('select 2'))
  const listener = await db.listener()
  await new Promise<void>((resolve) => {
    listener.onWake('r', resolve)
    db.notify('r')
  })
  await db.waitForChange('r', 50, new AbortController().signal)
  db.notify('last')
  process.stdout.write('done\n')
}

void main()
