import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type postgres from 'postgres'
import { ensureEmbedded, stopEmbedded } from '../src/embedded/index.ts'
import { cloneTemplate, makeTemplate, plainClient } from '../test/support/template.ts'

export interface BenchServer {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly url: string
  readonly sql: postgres.Sql
}

/** Runs `work` on a fresh database of an embedded server of its own, and removes both afterwards. */
export async function withServer(work: (fresh: () => Promise<BenchServer>) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'swarm-bench-db-'))
  chmodSync(root, 0o755)
  const swarmDir = join(root, '.swarm')
  const open: postgres.Sql[] = []
  try {
    const server = await ensureEmbedded(swarmDir)
    await makeTemplate(server.url)
    await work(async () => {
      const { name, url } = await cloneTemplate(server.url)
      const sql = plainClient(url, 2)
      open.push(sql)
      return { host: server.socketDir, port: server.port, user: 'swarm', database: name, url, sql }
    })
  } finally {
    await Promise.all(open.map((sql) => sql.end({ timeout: 1 })))
    await stopEmbedded(swarmDir)
    rmSync(root, { recursive: true, force: true })
  }
}

/** A repo with `beads` ready beads of a workflow of one stage, and eight agents. */
export async function fillBacklog(server: BenchServer, repo: string, beads: number): Promise<void> {
  const { sql } = server
  await sql`select swarm.run(${repo}, 'register', '{"count":8}', '{}', gen_random_uuid()::text)`
  await sql`insert into swarm.workflows (repo_id, name) values (${repo}, 'one')`
  await sql`insert into swarm.workflow_stages (repo_id, name, stage, position) values (${repo}, 'one', 'only', 1)`
  await sql`insert into swarm.bead_backlog (repo_id, bead_id, title, workflow, stage, priority)
    select ${repo}, 'b' || n, 'bead', 'one', 'only', 'p' || n % 5 from generate_series(1, ${beads}) n`
  await sql`vacuum analyze swarm.bead_backlog`
}
