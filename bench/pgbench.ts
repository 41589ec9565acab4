import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findProgram } from './measure.ts'
import type { BenchServer } from './server.ts'

/** Transactions per second of a pgbench script, or null when pgbench is not on this machine. */
export function pgbench(
  server: BenchServer,
  script: string,
  options: { clients: number; transactions: number },
): number | null {
  const program = findProgram('pgbench')
  if (!program) return null
  const dir = mkdtempSync(join(tmpdir(), 'swarm-pgbench-'))
  try {
    const file = join(dir, 'script.sql')
    writeFileSync(file, script)
    const { clients, transactions } = options
    const each = Math.ceil(transactions / clients)
    const args = [
      '-h',
      server.host,
      '-p',
      String(server.port),
      '-U',
      server.user,
      '-n',
      '-M',
      'prepared',
      '-f',
      file,
    ]
    const { status, stdout, stderr } = spawnSync(
      program,
      [
        ...args,
        '-c',
        String(clients),
        '-j',
        String(Math.min(2, clients)),
        '-t',
        String(each),
        server.database,
      ],
      { encoding: 'utf8' },
    )
    const tps = /tps = ([\d.]+) \(without/.exec(stdout)?.[1]
    if (status !== 0 || !tps) throw new Error(`pgbench failed: ${stderr}`)
    return Number(tps)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
