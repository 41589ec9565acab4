import type { Adapter, Launch, SessionOrders } from '../adapter.ts'
import { probeProgram } from '../probe.ts'
import { AcpConversation } from './conversation.ts'

/** Logins of the agents that are known to speak the protocol. */
const LOGIN_FILES = [
  '.gemini/oauth_creds.json',
  '.gemini/settings.json',
  '.qwen/oauth_creds.json',
  '.qwen/settings.json',
]

/** Any agent of the Agent Client Protocol: `command` says how it is started (`gemini --acp`); models are chosen by its arguments. */
export const acpAdapter: Adapter = {
  name: 'acp',
  steers: false,
  async probe(orders) {
    const { command = [] } = orders.settings
    if (command.length === 0) {
      return { usable: false, why: 'broken', detail: 'the adapter acp needs a command, like gemini --acp' }
    }
    // its version is asked for without the words that make it an agent
    const program = command.filter((word) => !/^(--(experimental-)?acp|acp)$/.test(word))
    return probeProgram(
      { ...orders, settings: { ...orders.settings, command: program } },
      {
        program: program[0] ?? '',
        minVersion: '0',
        loginVariables: ['GEMINI_API_KEY', 'GOOGLE_API_KEY', 'OPENAI_API_KEY', 'ANTHROPIC_API_KEY'],
        loginFiles: LOGIN_FILES,
        withoutLogin: 'unknown',
      },
    )
  },
  launch({ settings }: SessionOrders): Launch {
    const { command = [], args = [] } = settings
    return { argv: [...command, ...args], env: {}, loginFiles: LOGIN_FILES }
  },
  converse: (orders, wires) => new AcpConversation(orders, wires),
  // two of four were seen to stay when their input had ended
  stop: { interruptMs: 3_000, graceMs: 3_000, lingers: false },
}
