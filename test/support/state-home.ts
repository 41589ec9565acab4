import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

/**
 * Gives this process, and what it starts, a state directory of its own: nothing of the developer's records, and nothing added to them.
 * It is made once, however many projects of the run ask, and lasts as long as the process: the servers of all of them are noted there,
 * and the last of them is stopped after the others' ends.
 */
export function shareStateHome(): void {
  const start = `swarm-test-state-${process.pid}-`
  if (basename(process.env.XDG_STATE_HOME ?? '').startsWith(start)) return
  const made = mkdtempSync(join(tmpdir(), start))
  process.env.XDG_STATE_HOME = made
  process.once('exit', () => rmSync(made, { recursive: true, force: true }))
}
