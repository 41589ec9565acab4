import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type OpenDatabase, openDatabase } from '../db/database.ts'
import { ensureEmbedded, resetEmbedded } from '../embedded/index.ts'
import { embeddedTarget } from '../embedded/target.ts'
import type { Environment } from '../process/index.ts'

/** The tenant of the demo. */
export const DEMO_REPO = 'demo'
/** Should the demo itself be killed, its server stops after this long without a client. */
const IDLE_STOP_MS = 60_000

/** A root of the demo's own, with a Postgres of its own, far from the user's. */
export interface Scratch {
  readonly root: string
  /** What the processes of the demo get: nothing of the user's own settings. */
  readonly env: Environment
  /** For the checks; the agents have connections of their own. */
  readonly db: OpenDatabase
  /** Stops the server and deletes everything. */
  remove(): Promise<void>
}

/** Makes the scratch root and starts its server. */
export async function createScratch(): Promise<Scratch> {
  const root = mkdtempSync(join(tmpdir(), 'swarm-demo-'))
  const swarmDir = join(root, '.swarm')
  mkdirSync(swarmDir)
  writeFileSync(join(swarmDir, 'config.toml'), `repo = "${DEMO_REPO}"\nidle_stop_ms = ${IDLE_STOP_MS}\n`)
  const remove = async () => {
    try {
      await resetEmbedded(swarmDir)
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  }
  try {
    await ensureEmbedded(swarmDir, { idleStopMs: IDLE_STOP_MS })
  } catch (error) {
    await remove()
    throw error
  }
  const db = openDatabase(() => embeddedTarget(swarmDir, IDLE_STOP_MS), {
    connectTimeoutMs: 3_000,
    holder: 'demo',
    max: 2,
  })
  return {
    root,
    env: {
      ...Object.fromEntries(
        Object.keys(process.env)
          .filter(isOurs)
          .map((name) => [name, undefined]),
      ),
      SWARM_ROOT: root,
    },
    db,
    async remove() {
      await db.close()
      await remove()
    },
  }
}

/** Settings that would lead the demo's processes to the user's own swarm. */
function isOurs(name: string): boolean {
  return name.startsWith('SWARM_') || name === 'DATABASE_URL'
}
