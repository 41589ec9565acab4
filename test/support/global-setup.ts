import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startTestServer } from './server.ts'
import { shareStateHome } from './state-home.ts'
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
  shareStateHome()
  const server = await startTestServer()
  await makeTemplate(server.url)
  project.provide('serverUrl', server.url)
  project.provide('serverKind', server.kind)
  process.stderr.write(`tests run on: ${server.kind}\n`)
  return server.stop
}
