import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openSession } from '../commands/look-support.ts'
import { testDatabase } from '../support/database.ts'

const database = await testDatabase()
const scratch = mkdtempSync(join(tmpdir(), 'swarm-parts-'))
afterAll(() => rmSync(scratch, { recursive: true }))

/** A backlog in which every bead waits for the one after it in the file: parts must turn that around. */
function chain(count: number): string {
  const path = join(scratch, `${count}.jsonl`)
  const lines = Array.from({ length: count }, (_, at) => ({
    id: `b${at}`,
    title: `bead ${at}`,
    dependencies: at + 1 < count ? [{ issue_id: `b${at}`, depends_on_id: `b${at + 1}`, type: 'blocks' }] : [],
  }))
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return path
}

test('an import in parts goes on after what was committed, and makes nobody ready too early', async () => {
  const session = openSession(database.url, 'parts')
  const path = chain(2_500)
  const idem = 'the import'
  // the last of its three transactions fails, as if the process had died there
  await database.sql.unsafe(`create function stop() returns trigger language plpgsql as
    $$ begin if new.bead_id = 'b0' then raise exception 'stop'; end if; return new; end $$;
    create trigger stop before insert on swarm.bead_backlog for each row execute function stop()`)
  expect((await session.send({ cmd: 'import', path, idem })).ok).toBe(false)
  const ready = async () =>
    (await session.ask({ cmd: 'status' })) as { readonly ready: number; readonly beads: { pending: number } }
  expect(await ready()).toMatchObject({ ready: 1, beads: { pending: 2_000 } })
  await database.sql.unsafe('drop trigger stop on swarm.bead_backlog; drop function stop')
  expect(await session.ask({ cmd: 'import', path, idem })).toMatchObject({ added: 2_500, links: 2_499 })
  expect(await ready()).toMatchObject({ ready: 1, beads: { pending: 2_500 } })
  expect(await session.ask({ cmd: 'import', path })).toMatchObject({ added: 0, unchanged: 2_500, links: 0 })
})
