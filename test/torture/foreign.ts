import type postgres from 'postgres'
import type { ScratchServer } from '../support/scratch-server.ts'
import { plainClient } from '../support/template.ts'

/** A session that leaves a transaction open which has written somewhere else: it has an id and never touches the log. */
export interface ForeignTransaction {
  /** Opens it unless it is open; after the server has gone it must be opened again. */
  open(url: string): Promise<void>
  close(): Promise<void>
}

export function foreignTransaction(server: ScratchServer): ForeignTransaction {
  let sql: postgres.Sql | undefined
  let leave = () => {}
  let over: Promise<unknown> = Promise.resolve()

  async function isOpen(): Promise<boolean> {
    const admin = plainClient(server.url, 1, 'torture harness')
    try {
      const rows = await admin`select from pg_stat_activity
        where application_name = 'torture foreign' and state = 'idle in transaction' and backend_xid is not null`
      return rows.length > 0
    } finally {
      await admin.end({ timeout: 1 })
    }
  }

  async function close(): Promise<void> {
    leave()
    await over
    await sql?.end({ timeout: 1 })
    sql = undefined
  }

  return {
    async open(url) {
      if (await isOpen()) return
      await close()
      const fresh = plainClient(url, 1, 'torture foreign')
      sql = fresh
      await fresh`create table if not exists public.elsewhere (n integer)`
      await new Promise<void>((opened, failed) => {
        over = fresh
          .begin(async (transaction) => {
            await transaction`set local idle_in_transaction_session_timeout = 0`
            await transaction`insert into public.elsewhere values (1)`
            opened()
            await new Promise<void>((resolve) => {
              leave = resolve
            })
          })
          // the server went down with it
          .catch(failed)
      })
    },
    close,
  }
}
