import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scratchRepository } from '../support/git.ts'
import { type ScratchServer, scratchServer } from '../support/scratch-server.ts'
import { ask, type Serving, startServe } from '../support/serve.ts'
import { runSwarm } from '../support/swarm.ts'

/** Where a browser of the system may lie; without one these tests are not run, and say so. */
const BROWSER = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path !== undefined && existsSync(path))
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

describe.skipIf(BROWSER === undefined)('the page', () => {
  const scratch = scratchRepository()
  let database: ScratchServer
  let serving: Serving
  let browser: Browser
  let page: Page
  const faults: string[] = []

  const rpc = async (body: object) => {
    const { json } = await ask(`${serving.url}/api/rpc`, { body })
    expect(json).toMatchObject({ ok: true })
    return json
  }
  const start = (port: number) =>
    startServe({ DATABASE_URL: database.url }, { cwd: scratch.root, args: ['--port', String(port)] })

  beforeAll(async () => {
    database = await scratchServer()
    mkdirSync(join(scratch.root, '.swarm'))
    writeFileSync(join(scratch.root, '.swarm', 'config.toml'), 'repo = "paged"\n')
    await runSwarm(['init-db'], { cwd: scratch.root, env: { DATABASE_URL: database.url } })
    serving = await start(0)
    await rpc({ cmd: 'register', count: 2 })
    await rpc({
      cmd: 'enqueue',
      beads: [
        { bead_id: 'api', title: 'Write the API', description: 'A line of many.\n'.repeat(60) },
        { bead_id: 'docs', title: 'Document the API', depends_on: ['api'] },
        { bead_id: 'odd', title: 'An odd one' },
      ],
    })
    browser = await chromium.launch({ executablePath: BROWSER ?? '', args: ['--no-sandbox'] })
    page = await browser.newPage({ viewport: { width: 1_440, height: 900 }, colorScheme: 'light' })
    page.on('pageerror', (error) => faults.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error' && message.text().includes('Content Security Policy'))
        faults.push(message.text())
    })
    await page.goto(serving.url)
    await page.getByRole('button', { name: /Write the API/ }).waitFor()
  }, 120_000)

  afterAll(async () => {
    await browser?.close()
    await serving?.kill()
    await database?.close()
    scratch.remove()
  })

  const rowOf = (bead: string) => page.locator('button.row').filter({ hasText: bead })

  test('shows a bead that was claimed, without being loaded again', async () => {
    await rpc({ cmd: 'claim-next', agent_id: 1, require: true })
    await rowOf('Write the API').getByText('in progress').waitFor()
    await page.getByText('1/2').waitFor()
  })

  test('shows a question first, and answers it, saying the command of a shell', async () => {
    const asked = await rpc({
      cmd: 'ask',
      agent_id: 1,
      bead_id: 'api',
      question: 'REST or RPC?',
      options: ['REST', 'RPC'],
    })
    const card = page.locator('.needs li').filter({ hasText: 'REST or RPC?' })
    await card.getByRole('button', { name: 'answer' }).click()
    const dialog = page.getByRole('dialog', { name: 'answer' })
    await dialog.getByRole('button', { name: 'REST' }).click()
    await dialog.getByText(/^swarm answer --question-id \S+ --answer REST$/).waitFor()
    expect(await page.title()).toBe('(1) swarm')
    await dialog.getByRole('button', { name: 'answer' }).click()
    await card.waitFor({ state: 'detached' })
    const { d } = (await rpc({ cmd: 'questions' })) as unknown as { d: { questions: unknown[] } }
    expect(asked).toMatchObject({ ok: true })
    expect(d.questions).toEqual([])
  })

  test('opens a bead beside what is live, and the address says so', async () => {
    await rowOf('Document the API').click()
    await page
      .getByRole('dialog', { name: 'bead docs' })
      .getByText('another bead that has not landed')
      .waitFor()
    expect(new URL(page.url()).searchParams.get('bead')).toBe('docs')
    await page.keyboard.press('Escape')
    await page.getByRole('dialog', { name: 'bead docs' }).waitFor({ state: 'detached' })
  })

  test('shows of a bead what was tried, what a gate said of it, what was written and what it has changed', async () => {
    scratch.git(['checkout', '--quiet', '-b', 'swarm/api'])
    scratch.commit('api.ts', 'export const api = 1\n')
    scratch.git(['checkout', '--quiet', 'main'])
    await rpc({ cmd: 'send', agent_id: 1, to: 2, body: 'It speaks REST.', bead_id: 'api' })
    await rpc({
      cmd: 'complete-stage',
      agent_id: 1,
      outcome: 'failed',
      feedback: 'The tests are red.',
      evidence: [{ command: 'npm test', exit_code: 1, output: 'expected 1' }],
    })
    await rpc({ cmd: 'claim-next', agent_id: 1, require: true })
    await page.goto(`${serving.url}/?bead=api`)
    const drawer = page.getByRole('dialog', { name: 'bead api' })
    await drawer.getByText('The tests are red.').first().waitFor()
    await drawer.getByText('gate exited with 1').click()
    await drawer.getByText('expected 1').waitFor()
    await drawer.getByText('Messages').click()
    await drawer.getByText('It speaks REST.').waitFor()
    await drawer.getByText('Changes').click()
    await drawer.getByText('+export const api = 1').waitFor()
    await page.keyboard.press('Escape')
  })

  test('does one thing to several beads for one reason, and says what became of each', async () => {
    await rpc({ cmd: 'enqueue', beads: [{ bead_id: 'spare', title: 'Another odd one' }] })
    await rpc({ cmd: 'cancel', bead_id: 'odd' })
    await rowOf('An odd one').waitFor({ state: 'detached' })
    // a search finds what is in the archive too
    await page.getByRole('searchbox').fill('odd one')
    await page.getByRole('checkbox', { name: 'select all 2 beads' }).click()
    await page.getByRole('button', { name: 'reopen', exact: true }).click()
    const dialog = page.getByRole('dialog', { name: 'reopen 2 beads' })
    await dialog.getByLabel('Reason').fill('as a page')
    await dialog
      .getByText(`for bead in odd spare; do swarm reopen --bead-id="$bead" --feedback 'as a page'; done`)
      .waitFor()
    await dialog.getByRole('button', { name: 'reopen' }).click()
    await dialog.getByText('1 done, 1 refused').waitFor()
    await dialog.getByText('bead spare is pending already').waitFor()
    await dialog.getByRole('button', { name: 'close' }).click()
    await page.getByRole('searchbox').fill('')
    await rowOf('An odd one').getByText('pending').waitFor()
    const { d } = (await rpc({ cmd: 'show', bead_id: 'odd' })) as unknown as { d: { bead: object } }
    expect(d.bead).toMatchObject({ status: 'pending', feedback: 'as a page' })
  })

  test('text of a bead is text, whatever it says', async () => {
    await rpc({ cmd: 'update', bead_id: 'docs', title: '<img src=x onerror="document.title=1">' })
    await rowOf('<img src=x').waitFor()
    expect(await page.locator('img').count()).toBe(0)
    await rpc({ cmd: 'update', bead_id: 'docs', title: 'Document the API' })
  })

  test('says that the server is away, and goes on by itself when it is back', async () => {
    const { port } = new URL(serving.url)
    await serving.kill()
    await page.getByRole('status').filter({ hasText: 'server away' }).waitFor()
    serving = await start(Number(port))
    await rpc({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
    await page.locator('.live').filter({ hasText: /^live/ }).waitFor()
    await rowOf('Write the API').getByText('implement').waitFor()
  }, 60_000)

  test('says that the database is away, and goes on by itself when it is back', async () => {
    await database.stop('SIGKILL')
    await page.getByRole('status').filter({ hasText: 'database away' }).waitFor()
    expect(await page.title()).toBe('(!) swarm, database away')
    await database.start()
    await page.locator('.live').filter({ hasText: /^live/ }).waitFor()
    await rpc({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
    await rowOf('Write the API').getByText('qa').waitFor()
  }, 60_000)

  test('is worked with by keys, which ? lists', async () => {
    await page.keyboard.press('/')
    await page.keyboard.type('no bead')
    await page.getByText('No bead is like that.').waitFor()
    await page.getByRole('searchbox').fill('')
    await page.keyboard.press('Escape')
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'keys' }).getByText('find beads').waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.press('j')
    await page.getByRole('dialog', { name: 'bead api' }).waitFor()
    await page.keyboard.press('j')
    await page.getByRole('dialog', { name: 'bead docs' }).waitFor()
    await page.keyboard.press('Escape')
  })

  test('tells times by the server’s clock, whatever its own says', async () => {
    const other = await browser.newPage()
    await other.addInitScript(() => {
      const now = Date.now
      Date.now = () => now() + 3_600_000
    })
    await other.goto(serving.url)
    const time = other.locator('.events time').first()
    await time.filter({ hasText: /^\d+[sm]$/ }).waitFor()
    await other.close()
  })

  test('has at most 130 KB of script', () => {
    const assets = join(import.meta.dirname, '..', '..', 'dist', 'dashboard', 'assets')
    const scripts = readdirSync(assets).filter((name) => name.endsWith('.js'))
    const bytes = scripts.reduce((sum, name) => sum + gzipSync(readFileSync(join(assets, name))).length, 0)
    expect(bytes).toBeGreaterThan(10_000)
    expect(bytes).toBeLessThanOrEqual(130_000)
  })

  test.each(['light', 'dark'] as const)(
    'has no fault of WCAG A or AA in the %s theme',
    async (theme) => {
      await page.emulateMedia({ colorScheme: theme })
      await page.goto(`${serving.url}/?theme=${theme}&bead=api`)
      await page.getByRole('dialog', { name: 'bead api' }).getByText('The tests are red.').waitFor()
      await page.getByRole('checkbox', { name: 'select docs' }).click({ force: true })
      await rowOf('Write the API').waitFor()
      await page.evaluate(AXE)
      const violations = await page.evaluate(async () => {
        const { axe } = globalThis as unknown as {
          axe: {
            run: (options: object) => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>
          }
        }
        const run = await axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] })
        return run.violations.map(
          ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`,
        )
      })
      expect(violations).toEqual([])
    },
    60_000,
  )

  test('has raised no error and broken no rule of its Content-Security-Policy', () => {
    expect(faults).toEqual([])
  })
})
