import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { type Binaries, ownDirectory, SYSTEM_HOMES } from './binaries.ts'
import { concernsOf } from './concerns.ts'
import { madeHere } from './data-dir.ts'
import { errnoOf, failure } from './failure.ts'
import { EXTERNAL, externalHome, isMadeFor, writeOrigin } from './origin.ts'
import type { ServerPaths } from './paths.ts'
import { giveDirectory, removeTree, type ServerUser } from './powers.ts'
import { endMakers } from './processes.ts'
import { readText } from './read-text.ts'
import { type DataRecord, identityOf, writeId, writeRecord } from './record.ts'
import { canWrite, run } from './run.ts'
import { initdbSettings } from './settings.ts'
import { makeStateDir } from './state-dir.ts'
import { EMBEDDED_DATABASE, EMBEDDED_MAJOR, EMBEDDED_USER } from './terms.ts'

const DRAFT = 'pg.init-'

/** The data directory of the server, made and recorded as this user's when there is none. Call it under the lock. */
export async function ensureData(
  paths: ServerPaths,
  user: ServerUser | null,
  binaries: Binaries,
  log: (line: string) => void,
): Promise<string> {
  const made = madeHere(paths)
  if (made === null) return createData(paths, user, binaries, log)
  const { dataDir, record } = made
  const version = readText(join(dataDir, 'PG_VERSION'), 64)?.trim() ?? ''
  if (version !== String(EMBEDDED_MAJOR)) {
    throw failure(
      `the data was written by Postgres ${version} and swarm runs ${EMBEDDED_MAJOR}: start a Postgres ${version} on data_dir, ` +
        'export it (pg_dump --schema=swarm swarm), then `swarm db reset` and load the export; or set DATABASE_URL to that server',
      { data_dir: dataDir, found: version, expected: String(EMBEDDED_MAJOR) },
    )
  }
  refuseConcerns(dataDir, record)
  return dataDir
}

/** Whoever writes into the tree (a pull replaces ignored files) must not have the next start run what the user never accepted. */
function refuseConcerns(dataDir: string, record: DataRecord): void {
  const concerns = concernsOf(dataDir).filter((one) => !record.accepted.includes(one))
  if (concerns.length === 0) return
  throw failure(
    `a server on ${dataDir} would do what its files say: ${concerns.join('; ')}. If you wrote them, accept them with \`swarm db adopt --force\``,
    { data_dir: dataDir, concerns },
  )
}

/**
 * Deletes `dataDir`, the data that was made for this `.swarm/`, wherever it lies; null for none, when a link goes and what it leads to
 * stays. Call it under the lock, with no server running.
 */
export async function deleteData(paths: ServerPaths, dataDir: string | null): Promise<void> {
  const stat = lstatSync(paths.dataPath, { throwIfNoEntry: false })
  if (stat?.isSymbolicLink()) {
    const home = externalHome(paths)
    if (dataDir !== null && home === dirname(dataDir) && isMadeFor(home, paths)) {
      removeTree(home)
    }
    rmSync(paths.dataPath, { force: true })
  } else if (stat) {
    // away first: a half-deleted directory must not look like one
    const doomed = join(paths.swarmDir, `${DRAFT}deleted-${randomBytes(4).toString('hex')}`)
    renameSync(paths.dataPath, doomed)
    removeTree(doomed)
  }
  await removeDrafts(paths.swarmDir)
}

/** A new cluster with the database in it. It appears under its name in one step, complete. */
async function createData(
  paths: ServerPaths,
  user: ServerUser | null,
  binaries: Binaries,
  log: (line: string) => void,
): Promise<string> {
  if (existsSync(paths.dataPath)) {
    throw failure(`${paths.dataPath} is there and is no Postgres data directory; move it away`, {
      data_dir: paths.dataPath,
    })
  }
  if (lstatSync(paths.dataPath, { throwIfNoEntry: false })) {
    log(`the data that ${paths.dataPath} led to is gone; starting with empty data`)
    rmSync(paths.dataPath)
  }
  await removeDrafts(paths.swarmDir)
  makeStateDir()
  const draft = makeDraft(paths, user)
  log('creating the database cluster, once')
  try {
    await initdb(draft, user, binaries)
    const target = join(dirname(draft), 'pg')
    const id = writeId(draft)
    const data = { ...identityOf(draft), path: join(realpathSync(dirname(draft)), 'pg') }
    // before the data get their name: from then on they are ours
    writeRecord({ id, swarm: identityOf(paths.swarmDir), data, accepted: [] })
    renameSync(draft, target)
    if (target !== paths.dataPath) symlinkSync(target, paths.dataPath)
    return realpathSync(paths.dataPath)
  } catch (error) {
    await removeDraft(draft)
    throw error
  }
}

async function initdb(draft: string, user: ServerUser | null, binaries: Binaries): Promise<void> {
  const args = [
    '-D',
    draft,
    '-U',
    EMBEDDED_USER,
    '--auth-local=trust',
    '--auth-host=reject',
    '--no-instructions',
  ]
  const locale = ['-E', 'UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C']
  const settings = initdbSettings().flatMap((setting) => ['-c', setting])
  const made = await run(binaries.initdb, [...args, ...locale, ...settings], { user, timeoutMs: 120_000 })
  if (made.code !== 0)
    throw failure('initdb failed', { exit_code: made.code, log: made.output.slice(-2_000) })
  // a single-user backend: no server to wait for, and the directory is complete before it gets its name
  const single = ['--single', '-j', '-D', draft, 'postgres']
  const database = await run(binaries.postgres, single, {
    user,
    input: `CREATE DATABASE ${EMBEDDED_DATABASE};\n\n`,
    timeoutMs: 60_000,
  })
  if (database.code !== 0 || /\b(ERROR|FATAL|PANIC):/.test(database.output)) {
    throw failure('the database could not be created', { log: database.output.slice(-2_000) })
  }
}

/** An empty directory for `initdb`, in `.swarm/` when the server's user gets there, else where it does. */
function makeDraft(paths: ServerPaths, user: ServerUser | null): string {
  const near = draftIn(paths.swarmDir, user)
  if (user === null || canWrite(near, user)) return near
  removeTree(near)
  const home = mkdtempSync(join(ownDirectory(SYSTEM_HOMES), EXTERNAL))
  chmodSync(home, 0o755)
  writeOrigin(home, paths)
  return draftIn(home, user)
}

function draftIn(home: string, user: ServerUser | null): string {
  const draft = mkdtempSync(join(home, DRAFT))
  if (user !== null) giveDirectory(draft, user)
  return draft
}

/** What a killed process left behind; under the lock nobody else is at work here. */
async function removeDrafts(home: string): Promise<void> {
  for (const name of readdirSync(home)) {
    if (name.startsWith(DRAFT)) await removeDraft(join(home, name))
  }
}

/**
 * Ends what is still at work on a draft, then removes it. An `initdb` outlives the starter that was killed, and may have started one
 * more program since it was looked for. What cannot be removed even so stays: the next draft has another name.
 */
async function removeDraft(draft: string): Promise<void> {
  for (let attempt = 0; attempt < 3; attempt++) {
    await endMakers(draft)
    try {
      return removeTree(draft)
    } catch (error) {
      if (errnoOf(error) !== 'ENOTEMPTY') throw error
    }
  }
}
