import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startTestServer } from './server.ts'
import { makeTemplate } from './template.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** URL of the server's maintenance database. */
    serverUrl: string
    /** Which kind of server the tests run on, for the log. */
    serverKind: string
  }
}

/** Builds the bundle and starts one server for the whole run; every test file then clones its own database. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  execFileSync(process.execPath, [join(__dirname, '..', '..', 'scripts', 'build.mjs')], { stdio: 'inherit' })
  // nothing of the developer's own records, and nothing added to them: test processes inherit it
  const stateHome = mkdtempSync(join(tmpdir(), 'swarm-test-state-'))
  process.env.XDG_STATE_HOME = stateHome
  const server = await startTestServer()
  await makeTemplate(server.url)
  project.provide('serverUrl', server.url)
  project.provide('serverKind', server.kind)
  process.stderr.write(`tests run on: ${server.kind}\n`)
  return async () => {
    await server.stop()
    rmSync(stateHome, { recursive: true, force: true })
  }
}
