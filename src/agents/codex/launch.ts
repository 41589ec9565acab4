import type { AgentSettings } from '../../contract/agents-config.ts'
import type { Json } from '../../contract/json.ts'
import type { ProbeOrders, SessionOrders } from '../adapter.ts'
import { probeProgram } from '../probe.ts'

export const LOGIN_FILES = ['.codex/auth.json']

export const probeCodex = (orders: ProbeOrders) =>
  probeProgram(orders, {
    program: 'codex',
    minVersion: '0.100.0',
    loginVariables: ['OPENAI_API_KEY', 'CODEX_API_KEY'],
    loginFiles: LOGIN_FILES,
    // a provider of one's own needs neither
    withoutLogin: 'unknown',
  })

/** True when some tool call may have to be asked for. */
export function asksForTools({ permissions: { mode = 'allow', deny = [] } = {} }: AgentSettings): boolean {
  return mode !== 'allow' || deny.length > 0
}

/**
 * Settings that hold for both ways to start it; the role's own arguments come later and win. Its sandbox is off where everything is
 * allowed: it would refuse a commit in a linked worktree, and what it denies it does not tell.
 */
export function codexConfig({ settings, mcp = [] }: SessionOrders): readonly string[] {
  const isOpen = settings.permissions?.mode !== 'deny'
  const values: Record<string, Json> = {
    // a login shell would reset PATH
    allow_login_shell: false,
    sandbox_mode: isOpen ? 'danger-full-access' : 'read-only',
  }
  for (const { name, command, args } of mcp) {
    values[`mcp_servers.${name}.command`] = command
    values[`mcp_servers.${name}.args`] = [...args]
    values[`mcp_servers.${name}.default_tools_approval_mode`] = 'approve'
  }
  const tables = mcp.flatMap(({ name, env }) =>
    Object.entries(env).map(([key, value]) => [`mcp_servers.${name}.env.${key}`, value] as const),
  )
  // strings and lists of JSON are TOML as well
  return [...Object.entries(values), ...tables].flatMap(([key, value]) => [
    '-c',
    `${key}=${JSON.stringify(value)}`,
  ])
}
