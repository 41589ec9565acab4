import { appendFile, mkdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Decision } from '../core/actions.ts'
import { isNews, type TickRecord } from '../core/replay.ts'
import type { Rules } from '../core/rules.ts'
import type { Tick } from './tick.ts'

/** A file is put aside at this size, and the one that was put aside before goes. */
const FILE_BYTES = 32 * 1_048_576

export interface Recorder {
  readonly path: string
  /** Keeps a look, unless it is the same as the one before. */
  take(tick: Tick): void
  /** Resolves when everything is written. */
  close(): Promise<void>
}

/** Writes what a leader sees and decides as JSON lines, for `swarm replay`: a file for each run and process, and at most one before it. */
export async function createRecorder(
  dir: string,
  runId: string,
  holder: string,
  rules: Rules,
  onFault: (error: unknown) => void,
): Promise<Recorder> {
  await mkdir(dir, { recursive: true })
  const path = join(dir, `${runId}-${holder.slice(0, 8)}.jsonl`)
  let bytes = (await stat(path).catch(() => undefined))?.size ?? 0
  let last: Decision | undefined
  let writing: Promise<void> = Promise.resolve()

  const append = async (line: string): Promise<void> => {
    if (bytes > 0 && bytes + line.length > FILE_BYTES) {
      await rename(path, `${path}.1`)
      bytes = 0
    }
    await appendFile(path, line, { mode: 0o600 })
    bytes += Buffer.byteLength(line)
  }
  return {
    path,
    take({ snapshot, decision, term }) {
      if (last && !isNews(decision, last)) return
      last = decision
      const at = new Date().toISOString()
      const record: TickRecord = { version: 1, at, run_id: runId, term, rules, snapshot, decision }
      const line = `${JSON.stringify(record)}\n`
      writing = writing.then(() => append(line)).catch(onFault)
    },
    close: () => writing,
  }
}
