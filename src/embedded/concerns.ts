import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from './failure.ts'
import { readText } from './read-text.ts'

/** Settings by which a server loads a library, runs a command or works on files elsewhere; `include` reads further ones. */
const ACTIVE = new Set([
  ...['shared_preload_libraries', 'session_preload_libraries', 'local_preload_libraries', 'jit_provider'],
  ...['dynamic_library_path', 'extension_control_path', 'oauth_validator_libraries', 'archive_library'],
  ...['archive_command', 'archive_cleanup_command', 'recovery_end_command', 'restore_command'],
  ...[
    'ssl_passphrase_command',
    'primary_conninfo',
    'data_directory',
    'config_file',
    'hba_file',
    'ident_file',
  ],
  ...[
    'external_pid_file',
    'log_directory',
    'logging_collector',
    'include',
    'include_dir',
    'include_if_exists',
  ],
])
/** Values that do nothing, as an operator may write them. */
const IDLE = new Set(['', 'off', 'false', 'no', '0'])
const CONFIGS = ['postgresql.conf', 'postgresql.auto.conf']
const SIGNALS = ['recovery.signal', 'standby.signal', 'backup_label', 'tablespace_map']
/** Files and directories that a server of swarm's has in its own directory. */
const INSIDE = ['base', 'global', 'pg_wal', 'pg_tblspc', 'pg_hba.conf', 'pg_ident.conf']
const LONGEST = 1024 * 1024

/**
 * What in a data directory would have a server load a library, run a command or work on files elsewhere, one line each; empty for
 * what `initdb` makes. Nothing is started. The database itself may still hold functions and triggers: files do not tell.
 */
export function concernsOf(dataDir: string): string[] {
  return [
    ...CONFIGS.flatMap((name) => settingsOf(dataDir, name)),
    ...SIGNALS.filter((name) => lstatSync(join(dataDir, name), { throwIfNoEntry: false })),
    ...INSIDE.filter((name) => isLink(join(dataDir, name))).map((name) => `${name} is a link`),
    ...tablespaces(dataDir),
  ]
}

function settingsOf(dataDir: string, name: string): string[] {
  let text: string | null
  try {
    text = readText(join(dataDir, name), LONGEST)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    if (errnoOf(error) !== 'ELOOP') throw error
    text = null
  }
  if (text === null) return [`${name} is no plain file`]
  return text.split('\n').flatMap((line) => {
    const [, key = '', rest = ''] = /^\s*([A-Za-z_][A-Za-z0-9_]*)\s*=?\s*(.*)$/s.exec(line) ?? []
    const setting = key.toLowerCase()
    const value = /^(?:'((?:[^']|'')*)'|[^\s#]*)/.exec(rest)
    const plain = (value?.[1] ?? value?.[0] ?? '').toLowerCase()
    if (!ACTIVE.has(setting) || IDLE.has(plain)) return []
    // a connection string may carry a password
    return [setting === 'primary_conninfo' ? `${name}: ${setting}` : `${name}: ${setting} = ${shown(rest)}`]
  })
}

function shown(text: string): string {
  const printable = text.trim().replace(/[^\x20-\x7e]/g, '?')
  return printable.slice(0, 200)
}

function tablespaces(dataDir: string): string[] {
  const dir = join(dataDir, 'pg_tblspc')
  if (!lstatSync(dir, { throwIfNoEntry: false })?.isDirectory()) return []
  return readdirSync(dir).length > 0 ? ['pg_tblspc names data elsewhere'] : []
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false
}
