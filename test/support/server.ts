import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureEmbedded, stopEmbedded } from '../../src/embedded/index.ts'

export interface TestServer {
  readonly kind: string
  readonly url: string
  readonly stop: () => Promise<void>
}

/** `TEST_DATABASE_URL` when set, a container when Docker answers, else the embedded server. */
export async function startTestServer(): Promise<TestServer> {
  const given = process.env.TEST_DATABASE_URL
  if (given) return { kind: 'TEST_DATABASE_URL', url: given, stop: async () => {} }
  return dockerAnswers() ? startContainer() : startEmbedded()
}

function dockerAnswers(): boolean {
  try {
    execFileSync('docker', ['info', '--format', '{{.ServerVersion}}'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5_000,
    })
    return true
  } catch {
    return false
  }
}

async function startContainer(): Promise<TestServer> {
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql')
  const container = await new PostgreSqlContainer('postgres:18-alpine')
    .withCommand(['postgres', '-c', 'max_connections=500'])
    .start()
  return {
    kind: 'Testcontainers, postgres:18',
    url: container.getConnectionUri(),
    stop: async () => void (await container.stop()),
  }
}

async function startEmbedded(): Promise<TestServer> {
  const root = mkdtempSync(join(tmpdir(), 'swarm-test-'))
  chmodSync(root, 0o755)
  const swarmDir = join(root, '.swarm')
  const server = await ensureEmbedded(swarmDir)
  return {
    kind: 'the embedded Postgres',
    url: server.url,
    async stop() {
      await stopEmbedded(swarmDir)
      rmSync(root, { recursive: true, force: true })
    },
  }
}
