import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AdapterName, AgentSettings } from '../../src/contract/agents-config.ts'
import type { StubModel } from '../support/stub-model/server.ts'

/** Settings that lead each real program to the stub with a made-up key. `dir` is for files that it wants. */
type Settings = (stub: StubModel, argv: readonly string[], dir: string) => AgentSettings

export const KEY = 'made-up-key'

export const claudeSettings: Settings = (stub, argv) => ({
  adapter: 'claude',
  command: [...argv],
  login: 'none',
  env: {
    ANTHROPIC_BASE_URL: stub.url,
    ANTHROPIC_API_KEY: KEY,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    CLAUDE_CODE_MAX_RETRIES: '2',
    DISABLE_TELEMETRY: '1',
    DISABLE_ERROR_REPORTING: '1',
  },
})

/** A provider of one's own; few retries, as they are the same again. */
export const toStub = (stub: StubModel) =>
  Object.entries({
    model_provider: 'stub',
    'model_providers.stub.name': 'stub',
    'model_providers.stub.base_url': `${stub.url}/v1`,
    'model_providers.stub.env_key': 'STUB_KEY',
    'model_providers.stub.wire_api': 'responses',
    'model_providers.stub.request_max_retries': 1,
    'model_providers.stub.stream_max_retries': 1,
  }).flatMap(([key, value]) => ['-c', `${key}=${JSON.stringify(value)}`])

export const codexSettings: Settings = (stub, argv) => ({
  adapter: 'codex',
  command: [...argv],
  model: 'stub',
  login: 'none',
  args: toStub(stub),
  env: { STUB_KEY: KEY },
})

/** A provider of one's own, in a file that the role's environment names. */
export const opencodeSettings =
  (adapter: AdapterName): Settings =>
  (stub, argv, dir) => {
    const file = join(dir, 'opencode.json')
    const stubbed = {
      npm: '@ai-sdk/openai-compatible',
      name: 'stub',
      options: { baseURL: `${stub.url}/v1`, apiKey: KEY },
      models: { stub: { name: 'stub', tool_call: true, limit: { context: 100_000, output: 8_000 } } },
    }
    writeFileSync(file, JSON.stringify({ model: 'stub/stub', provider: { stub: stubbed } }))
    const env = { OPENCODE_CONFIG: file, OPENCODE_DISABLE_MODELS_FETCH: '1' }
    return { adapter, command: [...argv], login: 'none', env }
  }

export const geminiSettings: Settings = (stub, argv) => ({
  adapter: 'acp',
  command: [...argv, '--acp'],
  args: ['-m', 'gemini-2.5-flash'],
  login: 'none',
  env: {
    GEMINI_API_KEY: KEY,
    GOOGLE_GEMINI_BASE_URL: stub.url,
    GEMINI_CLI_TRUST_WORKSPACE: 'true',
    GEMINI_CLI_NO_RELAUNCH: 'true',
  },
})
