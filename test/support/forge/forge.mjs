// A forge for tests: pull requests of a bare repository, kept in a file. Speaks like `gh` as far as swarm uses it; `merge` and `close` are
// what people would do on its page. Usage: node forge.mjs STATE_FILE REMOTE WORDS…
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [file, remote, ...words] = process.argv.slice(2)
const IDENTITY = ['-c', 'user.name=forge', '-c', 'user.email=forge@localhost', '-c', 'commit.gpgSign=false']
const git = (args, cwd = remote) =>
  execFileSync('git', [...IDENTITY, ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim()
// one after the other, as the database of a forge has it
const lock = `${file}.lock`
for (let tries = 0; ; tries++) {
  // whoever was killed with it has left it
  if (tries > 250) rmSync(lock, { recursive: true, force: true })
  try {
    mkdirSync(lock)
    break
  } catch {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
  }
}
process.on('exit', () => rmdirSync(lock))
const state = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { pulls: [] }
const save = () => {
  writeFileSync(`${file}.${process.pid}`, JSON.stringify(state))
  renameSync(`${file}.${process.pid}`, file)
}
const option = (name) => words.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3)
const headOf = (branch) => git(['rev-parse', `refs/heads/${branch}`])
const fail = (why) => {
  process.stderr.write(`${why}\n`)
  process.exit(1)
}

function open({ branch, base, title }) {
  if (state.pulls.some((one) => one.branch === branch && one.state === 'OPEN'))
    fail(`a pull request for branch "${branch}" already exists`)
  const url = `https://forge.example/pull/${state.pulls.length + 1}`
  const body = readFileSync(0, 'utf8')
  state.pulls.push({ url, branch, base, title, body, state: 'OPEN', headRefOid: headOf(branch) })
  save()
  process.stdout.write(`Creating pull request for ${branch} into ${base}\n${url}\n`)
}

function list(branch) {
  const own = state.pulls.filter((one) => one.branch === branch)
  for (const one of own) if (one.state === 'OPEN') one.headRefOid = headOf(branch)
  process.stdout.write(JSON.stringify(own))
}

/** As the page of a forge does it: whatever the target branch is by now. */
function merge(url, how) {
  const pull = state.pulls.find((one) => one.url === url)
  const place = mkdtempSync(join(tmpdir(), 'swarm-forge-'))
  try {
    git(['clone', '--quiet', remote, place], tmpdir())
    git(['checkout', '--quiet', pull.base], place)
    const from = `origin/${pull.branch}`
    pull.headRefOid = headOf(pull.branch)
    if (how === 'squash') {
      git(['merge', '--quiet', '--squash', from], place)
      git(['commit', '--quiet', '-m', pull.title], place)
    } else git(['merge', '--quiet', '--no-ff', '-m', `Merge ${pull.branch}`, from], place)
    git(['push', '--quiet', 'origin', pull.base], place)
    Object.assign(pull, { state: 'MERGED', mergeCommit: { oid: git(['rev-parse', 'HEAD'], place) } })
    save()
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

function close(url, feedback) {
  const pull = state.pulls.find((one) => one.url === url)
  Object.assign(pull, { state: 'CLOSED', feedback })
  save()
}

const [first, second] = words
if (first === 'auth') process.exit(0)
else if (first === 'pr' && second === 'create')
  open({ branch: option('head'), base: option('base'), title: option('title') })
else if (first === 'pr' && second === 'list') list(option('head'))
else if (first === 'open') open({ branch: second, base: words[2], title: words[3] })
else if (first === 'state') list(second)
else if (first === 'merge') merge(second, words[2])
else if (first === 'close') close(second, words[2])
else fail(`what is ${words.join(' ')}?`)
