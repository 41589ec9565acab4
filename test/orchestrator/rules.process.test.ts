import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { runSwarm } from '../support/swarm.ts'
import { makeYard, type Yard } from './support.ts'

const database = await testDatabase()
const GATE = 'gate = ["git", "diff", "--check", "HEAD"]'
const RULES = `
[[workflows.quick.stages]]
name = "sketch"
[[workflows.quick.stages]]
name = "implement"
${GATE}
[[workflows.careful.stages]]
name = "implement"
roles = ["implementer", "senior"]
${GATE}
[[workflows.careful.stages]]
name = "qa"
on_fail = "implement"
[[rules]]
name = "words"
match = { type = "docs" }
workflow = "quick"
adapter = "command"
[[rules]]
match = { labels = ["deep"], priority = "p0..p2", title = "*LOCK*" }
workflow = "careful"
role = "senior"
model = "large"
[agents.shell]
adapter = "command"
protocol = "text"
command = ["sh", "-c", "mkdir -p demo && cat > demo/$SWARM_BEAD_ID.txt && git add -A && git commit -qm work && echo VERDICT: passed"]
`
let yard: Yard | undefined
afterAll(() => yard?.scratch.remove())

interface Plan {
  readonly plan: { readonly next: readonly object[] }
}

test('beads go by the first rule that matches them, and explain says which', async () => {
  yard = await makeYard(database, { repo: 'rules', oneStage: true, more: RULES })
  const { ask, start, landed, scratch, env } = yard
  const beads = [
    { bead_id: 'b1', title: 'Say it', bead_type: 'docs', labels: ['deep'] },
    { bead_id: 'b2', title: 'The lock is taken twice', labels: ['deep', 'web'], priority: 'p0' },
    { bead_id: 'b3', title: 'Say more', bead_type: 'docs', workflow: 'default' },
    { bead_id: 'b4', title: 'The lock', labels: ['deep'], priority: 'p3' },
  ]
  await ask('enqueue', '--json', JSON.stringify({ beads }))

  const prompts = join(scratch.root, '.swarm', 'prompts')
  mkdirSync(prompts)
  writeFileSync(join(prompts, 'implement.md'), 'Write down {{title}} of {{bead_id}} with care.\n')

  const agents = ['--agents', 'implementer=2,senior=1']
  const { plan } = await ask<Plan>('up', '--dry-run', ...agents)
  expect(plan.next).toEqual([
    expect.objectContaining({
      bead_id: 'b2',
      workflow: 'careful',
      rule: 'rule 2',
      agent_id: 3,
      model: 'large',
    }),
    expect.objectContaining({ bead_id: 'b1', workflow: 'quick', stage: 'sketch', rule: 'rule 1 (words)' }),
    expect.objectContaining({ bead_id: 'b3', workflow: 'default', rule: 'rule 1 (words)' }),
    expect.not.objectContaining({ rule: expect.anything() }),
  ])

  const { code, stderr } = await start('up', ...agents).ended
  expect(stderr).toBe('')
  expect(code).toBe(0)
  expect(landed()).toHaveLength(4)
  // the prompt of the repository, filled in, is what the program was told
  expect(scratch.git(['show', 'main:demo/b1.txt'])).toMatch(
    /\n\nWrite down <title (\w+)>\nSay it\n<\/title \1> of b1 with care\.$/,
  )
  const orders = await database.sql<{ bead: string; way: string }[]>`
    select s.bead_id as bead, string_agg(concat_ws(' ', s.stage, s.role, s.adapter, 'model ' || (e.payload ->> 'model'), e.payload ->> 'rule'), ', ' order by e.seq) as way
    from swarm.agent_sessions s join swarm.execution_events e on e.session_id = s.session_id and e.event_type = 'session_assigned'
    where s.repo_id = 'rules' group by s.bead_id order by s.bead_id`
  expect(orders.map(({ bead, way }) => `${bead}: ${way}`)).toEqual([
    expect.stringMatching(
      /^b1: sketch \w+ command rule 1 \(words\), implement \w+ command rule 1 \(words\)$/,
    ),
    'b2: implement senior demo model large rule 2, qa senior demo model large rule 2',
    'b3: implement implementer command rule 1 (words)',
    'b4: implement implementer demo',
  ])
  expect(await ask('explain', 'b1')).toMatchObject({
    workflow: 'quick',
    rule: { number: 1, name: 'words', workflow: 'quick' },
    decisions: expect.arrayContaining([
      expect.objectContaining({
        event_type: 'bead_translated',
        payload: {
          from: 'default',
          to: 'quick',
          rule: 1,
          reason: 'rule 1 (words) gives it the workflow quick',
        },
      }),
    ]),
  })
  expect(await ask('explain', 'b2')).toMatchObject({
    workflow: 'careful',
    rule: { number: 2, role: 'senior' },
  })
  expect(await ask('explain', 'b3')).toMatchObject({ workflow: 'default', rule: { number: 1 } })
  expect(await ask('explain', 'b4')).not.toHaveProperty('rule')

  // what a rule cannot do is said before anything begins
  const file = join(scratch.root, '.swarm', 'config.toml')
  const whole = readFileSync(file, 'utf8')
  const refused = async (change: (text: string) => string, ...more: readonly string[]) => {
    writeFileSync(file, change(whole))
    const { stdout, code: exit } = await runSwarm(['up', ...more], { env, cwd: scratch.root })
    expect(exit).toBe(2)
    return JSON.parse(stdout).err
  }
  expect(await refused((text) => text)).toMatchObject({
    msg: expect.stringContaining('senior=1'),
    ctx: { field: 'rules.1.role', got: 'senior' },
  })
  expect(
    await refused((text) => text.replace('workflow = "quick"', 'workflow = "quik"'), ...agents),
  ).toMatchObject({
    msg: expect.stringContaining('careful, default, quick'),
    ctx: { field: 'rules.0.workflow', got: 'quik' },
  })
  const ungated = (text: string) => text.replace(`${GATE}\n[[workflows.careful`, '[[workflows.careful')
  expect(await refused(ungated, ...agents)).toMatchObject({
    msg: expect.stringContaining('the workflow quick has no gate'),
    ctx: { field: 'workflows.quick.stages[].gate' },
  })
  const added = (text: string) =>
    `${text.replace('workflow = "quick"', 'workflow = "new"')}[[workflows.new.stages]]\nname = "x"\n${GATE}\n`
  expect(await refused(added, ...agents)).toMatchObject({ msg: expect.stringContaining('swarm init-db') })
  writeFileSync(join(prompts, 'qa.md'), 'Look at it.\nThen {{tittle}}.')
  expect(await refused((text) => text, ...agents)).toMatchObject({
    msg: expect.stringContaining('{{tittle}} on line 2'),
    ctx: { file: '.swarm/prompts/qa.md' },
  })
  renameSync(join(prompts, 'qa.md'), join(prompts, 'quality.md'))
  writeFileSync(join(prompts, 'quality.md'), 'Look at it.')
  expect(await refused((text) => text, ...agents)).toMatchObject({
    msg: expect.stringContaining('no workflow has'),
  })
}, 240_000)
