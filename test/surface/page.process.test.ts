import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { ask, type Serving, startServe } from '../support/serve.ts'

/** Where a browser of the system may lie; without one these tests are not run, and say so. */
const BROWSER = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path !== undefined && existsSync(path))
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

describe.skipIf(BROWSER === undefined)('the page', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'swarm-page-'))
  let database: string
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
    startServe({ DATABASE_URL: database }, { cwd: scratch, args: ['--port', String(port)] })

  beforeAll(async () => {
    ;({ url: database } = await testDatabase())
    mkdirSync(join(scratch, '.swarm'))
    writeFileSync(join(scratch, '.swarm', 'config.toml'), 'repo = "paged"\n')
    serving = await start(0)
    await rpc({ cmd: 'register', count: 2 })
    await rpc({
      cmd: 'enqueue',
      beads: [
        { bead_id: 'api', title: 'Write the API' },
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
    rmSync(scratch, { recursive: true, force: true })
  })

  const rowOf = (bead: string) => page.locator('button.row').filter({ hasText: bead })

  test('shows a bead that was claimed, without being loaded again', async () => {
    await rpc({ cmd: 'claim-next', agent_id: 1, require: true })
    await rowOf('Write the API').getByText('in_progress').waitFor()
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
    await page.getByRole('dialog', { name: 'bead docs' }).getByText('api (in_progress)').waitFor()
    expect(new URL(page.url()).searchParams.get('bead')).toBe('docs')
    await page.keyboard.press('Escape')
    await page.getByRole('dialog', { name: 'bead docs' }).waitFor({ state: 'detached' })
  })

  test('text of a bead is text, whatever it says', async () => {
    await rpc({ cmd: 'update', bead_id: 'odd', title: '<img src=x onerror="document.title=1">' })
    await rowOf('<img src=x').waitFor()
    expect(await page.locator('img').count()).toBe(0)
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

  test.each(['light', 'dark'] as const)(
    'has no fault of WCAG A or AA in the %s theme',
    async (theme) => {
      await page.emulateMedia({ colorScheme: theme })
      await page.goto(`${serving.url}/?theme=${theme}&bead=docs`)
      await page.getByRole('dialog', { name: 'bead docs' }).waitFor()
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
