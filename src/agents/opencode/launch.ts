import type { JsonObject } from '../../contract/json.ts'
import type { Launch, ProbeOrders, SessionOrders } from '../adapter.ts'
import { probeProgram } from '../probe.ts'

export const LOGIN_FILES = ['.local/share/opencode/auth.json']

export const probeOpencode = (orders: ProbeOrders) =>
  probeProgram(orders, {
    program: 'opencode',
    minVersion: '1.18.0',
    loginVariables: ['ANTHROPIC_API_KEY', 'OPENAI_API_KEY', 'OPENROUTER_API_KEY', 'OPENCODE_CONFIG'],
    loginFiles: LOGIN_FILES,
    // it has models that want none
    withoutLogin: 'unknown',
  })

/** What both ways to start it have in common. `asks` says what becomes of a tool call that the rules do not allow outright. */
export function opencodeLaunch(
  { settings, mcp = [] }: SessionOrders,
  asks: 'ask' | 'deny',
): Omit<Launch, 'argv'> {
  const { mode = 'allow', deny = [] } = settings.permissions ?? {}
  const config: JsonObject = {
    $schema: 'https://opencode.ai/config.json',
    autoupdate: false,
    share: 'disabled',
    permission: { '*': mode === 'allow' && deny.length === 0 ? 'allow' : asks },
    mcp: Object.fromEntries(
      mcp.map(({ name, command, args, env }) => [
        name,
        { type: 'local', command: [command, ...args], environment: env, enabled: true },
      ]),
    ),
  }
  return {
    env: {
      OPENCODE_DISABLE_AUTOUPDATE: '1',
      OPENCODE_DISABLE_LSP_DOWNLOAD: '1',
      OPENCODE_DISABLE_SHARE: '1',
    },
    files: [{ path: '.config/opencode/opencode.json', text: JSON.stringify(config) }],
    loginFiles: LOGIN_FILES,
  }
}
