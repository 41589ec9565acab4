/**
 * An agent of the lines of adapter `command` that keeps its conversation in its HOME, as the real ones do. At first the model's service lets
 * it wait for an hour. The argument is a directory for what it must know over its lives. Of bead `b2` it forgets the conversation.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const { HOME, SWARM_BEAD_ID: bead } = process.env
const conversation = join(HOME, 'conversation')
const tried = join(process.argv[2], bead)
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const { resume } = JSON.parse((await lines.next()).value)
const known = existsSync(conversation) ? readFileSync(conversation, 'utf8') : undefined
if (resume !== undefined && resume !== known) {
  say({ event: 'result', ok: false, reason: 'configuration', detail: `no conversation found with ${resume}` })
} else {
  const session = resume ?? `${bead}-${process.pid}`
  say({ event: 'ready', session })
  writeFileSync(conversation, bead === 'b2' ? 'forgotten' : session)
  if (existsSync(tried)) {
    writeFileSync(`${bead}.txt`, `${session}\n`)
    execFileSync('git', ['add', '.'])
    execFileSync('git', ['commit', '-q', '-m', `Work on ${bead}`])
    say({ event: 'result', ok: true, reason: 'completed', detail: 'done' })
  } else {
    writeFileSync(tried, '')
    say({ event: 'retrying', cause: 'quota', at: new Date(Date.now() + 3_600_000), detail: 'rate limit' })
  }
}
// until it may go
while (!(await lines.next()).done);
