import type { AdapterName } from '../contract/agents-config.ts'
import { acpAdapter } from './acp/adapter.ts'
import type { Adapter } from './adapter.ts'
import { claudeAdapter } from './claude/adapter.ts'
import { codexAdapter } from './codex/adapter.ts'
import { codexExecAdapter } from './codex/exec.ts'
import { commandAdapter } from './command/adapter.ts'
import { demoAdapter } from './demo/adapter.ts'
import { opencodeAdapter } from './opencode/adapter.ts'
import { opencodeRunAdapter } from './opencode/run.ts'

const ADAPTERS: Readonly<Record<AdapterName, Adapter>> = {
  acp: acpAdapter,
  claude: claudeAdapter,
  codex: codexAdapter,
  'codex-exec': codexExecAdapter,
  command: commandAdapter,
  demo: demoAdapter,
  opencode: opencodeAdapter,
  'opencode-run': opencodeRunAdapter,
}

/** The adapter of a name. */
export function adapterNamed(name: AdapterName): Adapter {
  return ADAPTERS[name]
}
