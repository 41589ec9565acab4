import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type postgres from 'postgres'
import type { Yard } from '../orchestrator/support.ts'
import { plainClient } from '../support/template.ts'

/** A step of a landing at which a process can be made to stand still. */
export type Step =
  /** Before or after git is run with words that match a pattern of the shell. */
  | { readonly at: 'git-before' | 'git-after'; readonly words: string }
  /** In the bare remote, before and after its branch moves. */
  | { readonly at: 'pre-receive' | 'post-receive' }
  /** While a gate runs. */
  | { readonly at: 'gate' }
  /** While git writes a file into the working copy of the target branch. */
  | { readonly at: 'checkout' }
  /** In the database, when a row of the train is to get this status. */
  | { readonly at: 'row'; readonly status: 'testing' | 'green' | 'landed' }

/** Something stands still. */
export interface Halt {
  /** Of the program that stands still; of the backend, for a row. */
  readonly pid: number
  /** Lets it go on. */
  release(): Promise<void>
  /** Ends it where it stands, with everything in its process group. */
  kill(): Promise<void>
}

export interface Halts {
  /** For `makeYard`: the PATH with the wrapper of git, a place for temporary files, the gate. */
  readonly env: Readonly<Record<string, string>>
  readonly gate: readonly string[]
  /** Where sessions have their directories. */
  readonly tmp: string
  /** Puts the hooks of the remote, the filter of the working copy and the trigger of the database in place. */
  install(yard: Yard, url: string): Promise<void>
  /** The next one that comes to this step stands still. */
  arm(step: Step): Promise<void>
  /** Who does; undefined as long as nobody does. */
  hit(): Promise<Halt | undefined>
  /** Nobody is to stand still any more. */
  disarm(): Promise<void>
  close(): Promise<void>
}

/** Any number that no other test takes. */
const LOCK = 52_817

/**
 * Halts without a word of them in the product: a `git` before the real one on the PATH, hooks in the remote, a gate, a filter of git, and
 * a trigger. Each looks into a directory of the test and waits there when it is meant. One halt at a time.
 */
export function makeHalts(): Halts {
  const home = mkdtempSync(join(tmpdir(), 'swarm-halts-'))
  const file = (name: string) => join(home, name)
  const put = (path: string, text: string) => {
    writeFileSync(path, text)
    chmodSync(path, 0o755)
  }
  for (const name of ['bin', 'tmp']) mkdirSync(file(name))
  const halt = `halt() {
  [ -f '${home}/armed' ] || return 0
  { read -r at; read -r which; IFS= read -r words; } < '${home}/armed' 2>/dev/null || return 0
  [ "$at" = "$1" ] || return 0
  case " $2 " in $words) ;; *) return 0 ;; esac
  mv '${home}/armed' '${home}/taken' 2>/dev/null || return 0
  echo $$ > '${home}/hit.new'
  mv '${home}/hit.new' '${home}/hit'
  while [ ! -e '${home}/go.'"$which" ]; do sleep 0.02; done
}
`
  put(
    file('bin/git'),
    `#!/bin/sh
PATH='${process.env.PATH}'
${halt}
[ -f '${home}/armed' ] || exec git "$@"
halt git-before "$*"
git "$@"
code=$?
halt git-after "$*"
exit $code
`,
  )
  put(file('gate.sh'), `#!/bin/sh\n${halt}\nhalt gate ''\nexec git diff --check HEAD\n`)
  for (const hook of ['pre-receive', 'post-receive']) put(file(hook), `#!/bin/sh\n${halt}\nhalt ${hook} ''\n`)
  const write = (name: string, text: string) => writeFileSync(file(name), text)
  let sql: postgres.Sql | undefined
  let armed: Step | undefined
  let which = 0
  const go = () => write(`go.${which}`, '')

  const backend = async (): Promise<number | undefined> => {
    const rows = await sql?.unsafe<{ pid: number }[]>(
      `select pid from pg_locks where locktype = 'advisory' and objid = ${LOCK} and not granted
       and database = (select oid from pg_database where datname = current_database())`,
    )
    return rows?.[0]?.pid
  }
  const forget = () => {
    for (const name of ['armed', 'taken', 'hit']) rmSync(file(name), { force: true })
  }

  const halts: Halts = {
    env: {
      PATH: `${file('bin')}${delimiter}${process.env.PATH}`,
      // gates run the git of the machine
      SWARM_GATE_PATH: process.env.PATH ?? '',
      TMPDIR: file('tmp'),
    },
    gate: ['sh', file('gate.sh')],
    tmp: file('tmp'),
    async install({ scratch, repo }, url) {
      for (const hook of ['pre-receive', 'post-receive'])
        put(join(scratch.remote ?? '', 'hooks', hook), readFileSync(file(hook), 'utf8'))
      scratch.git(['config', 'core.logAllRefUpdates', 'always'], scratch.remote)
      put(
        file('filter.sh'),
        `#!/bin/sh\n${halt}\n[ "$PWD" != '${scratch.root}' ] || halt checkout ''\nexec cat\n`,
      )
      scratch.git(['config', 'filter.halt.smudge', file('filter.sh')])
      scratch.git(['config', 'filter.halt.clean', 'cat'])
      mkdirSync(join(scratch.root, '.git', 'info'), { recursive: true })
      writeFileSync(join(scratch.root, '.git', 'info', 'attributes'), 'demo/* filter=halt\n')
      sql = plainClient(url, 1, 'torture harness')
      await sql.unsafe(`
        create table public.halts (repo_id text, status text);
        create function public.halt_landing() returns trigger language plpgsql as $$
        begin
          if exists (select from public.halts h where h.repo_id = new.repo_id and h.status = new.status) then
            perform pg_catalog.pg_advisory_xact_lock(${LOCK});
          end if;
          return new;
        end $$;
        create trigger halt_landing before update on swarm.landings for each row execute function public.halt_landing();
        insert into public.halts values ('${repo}', null);
        select pg_advisory_lock(${LOCK});`)
    },
    async arm(step) {
      armed = step
      which += 1
      forget()
      if (step.at === 'row') await sql?.unsafe(`update public.halts set status = '${step.status}'`)
      else {
        write('armed.new', `${step.at}\n${which}\n${'words' in step ? step.words : '*'}\n`)
        // whoever reads it reads all of it
        renameSync(file('armed.new'), file('armed'))
      }
    },
    async hit() {
      if (armed?.at === 'row') {
        const pid = await backend()
        if (pid === undefined) return undefined
        const leave = async () => {
          await sql?.unsafe(`update public.halts set status = null`)
          await sql?.unsafe(`select pg_advisory_unlock(${LOCK})`)
          while ((await backend()) !== undefined) await new Promise((done) => setTimeout(done, 10))
          await sql?.unsafe(`select pg_advisory_lock(${LOCK})`)
        }
        return {
          pid,
          release: leave,
          async kill() {
            await sql?.unsafe(`select pg_terminate_backend(${pid})`)
            await leave()
          },
        }
      }
      if (!existsSync(file('hit'))) return undefined
      const pid = Number(readFileSync(file('hit'), 'utf8'))
      return {
        pid,
        async release() {
          go()
        },
        async kill() {
          const group = groupOf(pid)
          if (group !== undefined) process.kill(-group, 'SIGKILL')
        },
      }
    },
    async disarm() {
      forget()
      go()
      await sql?.unsafe(`update public.halts set status = null`)
    },
    async close() {
      go()
      await sql?.end({ timeout: 1 })
      rmSync(home, { recursive: true, force: true })
    },
  }
  return halts
}

/** From /proc; undefined when it has gone. */
function groupOf(pid: number): number | undefined {
  return fieldsOf(pid)?.[2]
}

/** The process above. */
export function parentOf(pid: number): number | undefined {
  return fieldsOf(pid)?.[1]
}

/** After the name: state, parent, group … */
function fieldsOf(pid: number): readonly number[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
  } catch {
    return undefined
  }
}
