import { join } from 'node:path'
import type { Adapter, Launch, SessionOrders } from '../adapter.ts'
import { overLines } from '../dialogue.ts'
import { mcpServersJson } from '../mcp-config.ts'
import { probeProgram } from '../probe.ts'
import { claudeDialogue } from './dialogue.ts'

const LOGIN_FILES = ['.claude/.credentials.json']
const MCP_FILE = '.claude/swarm-mcp.json'

/** Claude Code. Every tool call that its own rules do not settle is asked for over stdin, where the rules of the role decide. */
export const claudeAdapter: Adapter = {
  name: 'claude',
  steers: true,
  probe: (orders) =>
    probeProgram(orders, {
      program: 'claude',
      minVersion: '2.1.0',
      loginVariables: [
        'ANTHROPIC_API_KEY',
        'ANTHROPIC_AUTH_TOKEN',
        'CLAUDE_CODE_OAUTH_TOKEN',
        'CLAUDE_CODE_USE_BEDROCK',
        'CLAUDE_CODE_USE_VERTEX',
      ],
      loginFiles: LOGIN_FILES,
      // macOS keeps it in the keychain
      withoutLogin: process.platform === 'darwin' ? 'unknown' : 'no',
    }),
  launch({ settings, resume, mcp = [], home }: SessionOrders): Launch {
    const { model, system_prompt, args = [], command = ['claude'] } = settings
    return {
      argv: [
        ...command,
        '-p',
        ...['--output-format', 'stream-json', '--verbose', '--include-partial-messages'],
        ...['--input-format', 'stream-json', '--permission-prompt-tool', 'stdio'],
        ...(model === undefined ? [] : ['--model', model]),
        ...(system_prompt === undefined ? [] : ['--append-system-prompt', system_prompt]),
        ...(resume === undefined ? [] : ['--resume', resume]),
        ...(mcp.length === 0 ? [] : ['--mcp-config', join(home, MCP_FILE), '--strict-mcp-config']),
        ...args,
      ],
      env: { DISABLE_AUTOUPDATER: '1' },
      files:
        mcp.length === 0
          ? []
          : [{ path: MCP_FILE, text: JSON.stringify({ mcpServers: mcpServersJson(mcp) }) }],
      loginFiles: LOGIN_FILES,
    }
  },
  converse: (orders, wires) => overLines(claudeDialogue(orders), wires),
  stop: { interruptMs: 5_000, graceMs: 3_000 },
}
