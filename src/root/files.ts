import { chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { CommandContext } from '../contract/command.ts'
import { configSchema } from '../contract/config.ts'
import { CONFIG_FILE, readConfig, slug } from './config.ts'
import { findRoot, rootForInit, SWARM_DIR } from './find.ts'
import { checkOwnership } from './ownership.ts'

/** What there is to do so that a directory is a root. */
export interface RootPlan {
  /** Absolute path of the directory that will hold `.swarm/`. */
  readonly path: string
  readonly repo: string
  /** Paths relative to the root, with what is to be in them. */
  readonly files: readonly { readonly name: string; readonly content: string }[]
  /** Files that are there and stay as they are. */
  readonly kept: readonly string[]
}

const IGNORE = `${SWARM_DIR}/.gitignore`
const CONFIG = `${SWARM_DIR}/${CONFIG_FILE}`

/**
 * Looks at what is there. `repo` is the id asked for; without one an existing configuration decides, then the name of the directory.
 * A file that is there stays as it is, but for the id in the configuration when another one is asked for. Throws INVALID where
 * somebody else could have made the directory or could change it.
 */
export function planRoot(ctx: CommandContext, repo: string | undefined): RootPlan {
  const path = rootPath(ctx)
  checkOwnership(path, CONFIG_FILE, ctx.env)
  const files: { name: string; content: string }[] = []
  const kept: string[] = []
  if (existsSync(join(path, IGNORE))) kept.push(IGNORE)
  else files.push({ name: IGNORE, content: '*\n' })

  const configFile = join(path, CONFIG)
  const byDefault = slug(basename(path))
  if (!existsSync(configFile)) {
    const id = repo ?? namedByEnvironment(ctx) ?? byDefault
    files.push({ name: CONFIG, content: configText(id) })
    return { path, repo: id, files, kept }
  }
  const configured = readConfig(configFile).repo ?? byDefault
  if (repo === undefined || repo === configured)
    return { path, repo: configured, files, kept: [...kept, CONFIG] }
  files.push({ name: CONFIG, content: withRepo(readFileSync(configFile, 'utf8'), repo) })
  return { path, repo, files, kept }
}

/** A directory inside a root belongs to it, unless it is a repository of its own. */
function rootPath({ cwd, env }: CommandContext): string {
  const fresh = rootForInit(cwd, env)
  if (env.SWARM_ROOT || existsSync(join(fresh, '.git'))) return fresh
  return findRoot(cwd, env) ?? fresh
}

function namedByEnvironment({ env }: CommandContext): string | undefined {
  const named = configSchema.shape.repo.safeParse(env.SWARM_REPO || undefined)
  return named.success ? named.data : undefined
}

/** Writes the files of a plan. What root makes in somebody's directory belongs to them. */
export function writeRoot({ path, files }: RootPlan): void {
  for (const { name, content } of files) {
    const file = join(path, name)
    const made = mkdirSync(dirname(file), { recursive: true })
    const isNew = !existsSync(file)
    writeFileSync(file, content)
    if (process.getuid?.() !== 0) continue
    const { uid, gid } = statSync(path)
    if (made !== undefined && made !== path) chownSync(dirname(file), uid, gid)
    if (isNew) chownSync(file, uid, gid)
  }
}

/** Replaces the id in a configuration, or puts it first. */
function withRepo(source: string, repo: string): string {
  const line = `repo = ${JSON.stringify(repo)}`
  const [head = ''] = source.split(/^\s*\[/m)
  const old = /^[ \t]*repo[ \t]*=.*$/m.exec(head)
  return old
    ? source.slice(0, old.index) + line + source.slice(old.index + old[0].length)
    : `${line}\n${source}`
}

/** A configuration that says what there is to say, with only the id set. */
export function configText(repo: string): string {
  return `# swarm: how this working copy takes part. Everything but the repo is optional and shown with its default.

# The id of this repo in the database: agents, beads and messages of one id see each other and nobody else.
repo = ${JSON.stringify(repo)}

# Who may do what. "cooperative": whoever reaches the database, trusted to act for itself only. "tokens": whoever shows a token,
# as its role allows; init then answers the first operator's. init-db puts a change here into the database.
# auth = "cooperative"

# The database. Absent: the embedded Postgres in this directory, started on demand. DATABASE_URL goes before this.
# Any Postgres from 14 on. It may hold a password: then make this file readable for yourself only.
# database_url = "postgres://user@host:5432/database"

# Where to wait for notifications when database_url goes through a pooler in transaction mode: the server itself.
# listen_url = "postgres://user@host:5432/database"

# How long connecting may take, in ms, from 100 to 30000.
# connect_timeout_ms = 3000

# How long a request to the database may take with all its attempts, in ms.
# statement_timeout_ms = 30000

# The longest line that a pipe accepts, in bytes.
# max_line_bytes = 1048576

# How long a process renews a claim before it lets it expire, in ms (4 hours).
# max_hold_ms = 14400000

# Where an agent puts the contract of a bead, as its prompt says; <bead> stands for the bead's id.
# contract_path = "docs/<bead>.md"

# Remove events and audit rows that are older, like "90d" or "12h". Absent: keep the events. Readers below are told.
# retention = "90d"

# Remove audit rows (who sent what, when) that are older. Absent: as retention says, else 30 days.
# audit_retention = "30d"

# The embedded Postgres stops after this long without a client, in ms (30 minutes).
# idle_stop_ms = 1800000

# Workflows. Beads go through the stages of one in order; init-db puts a change here into the database. This is the
# built-in one, but for the gate.
# roles: who may do the stage; anybody when absent. gate: command and arguments whose exit code decides whether it
# passed, run for up to timeout_ms. on_pass and on_fail name a stage; absent, the next one and the stage itself; "done"
# is the end. max_attempts: 3 unless said; then the bead is blocked. independent: not for the agent whose work it checks
# ("require"), or only when no other one is there ("prefer").
# [workflows.default]
# stages = [
#   { name = "contract", roles = ["planner", "test_writer"] },
#   { name = "implement", roles = ["implementer"], max_attempts = 3 },
#   { name = "qa", roles = ["reviewer"], gate = ["npm", "test"], timeout_ms = 600000, on_fail = "implement", independent = "prefer" },
#   { name = "red-queen", roles = ["reviewer"], on_fail = "implement", independent = "prefer" },
# ]

# The programs that swarm up runs, by role; "default" is for the roles that are not named. docs/AGENTS.md tells of every key.
# [agents.default]
# adapter = "demo"

# How swarm up drives a run: how often the leader looks at everything (events wake it earlier), in ms; limits and budgets besides:
# docs/RUNS.md tells of every key.
# [orchestrator]
# tick_ms = 60000

# What becomes of a bead by what it is: workflow, role, model, adapter, budget. The first rule that matches decides; docs/RUNS.md tells of
# every key.
# [[rules]]
# match = { labels = ["security"], priority = "p0..p1" }
# model = "opus"

# Where finished work lands: the branch (the one that is checked out by default), a remote to push it to, and how many candidates are
# tested at once.
# [landing]
# window = 8

# The bounds of swarm serve, of one token, or of one address that shows none: docs/HTTP.md tells of every key.
# [http]
# requests_per_second = 2000

# Who is told of what needs a person, by swarm notify run: docs/NOTIFICATIONS.md tells of every key. Secrets are named, never written here.
# [notify.team]
# kind = "webhook"
# url = "https://example.com/hook"
# secret_env = "SWARM_NOTIFY_SECRET"
`
}
