import type { AgentSettings } from '../../src/contract/agents-config.ts'
import { claudeSettings } from './settings.ts'
import { describeUp } from './up.ts'

const error = (type: string, message: string) => ({ type: 'error', error: { type, message } })

const question = 'Which colour?'
const options = ['red', 'blue'].map((label) => ({ label, description: label }))

await describeUp({
  name: 'claude',
  settings: claudeSettings,
  quota: {
    // of a subscription: with a key it is told no time
    fault: (until) => ({
      status: 429,
      headers: {
        'anthropic-ratelimit-unified-status': 'rejected',
        'anthropic-ratelimit-unified-reset': String(Math.floor(until / 1_000)),
        'anthropic-ratelimit-unified-representative-claim': 'five_hour',
      },
      body: error('rate_limit_error', 'limit'),
    }),
    changes({ env = {}, ...settings }): AgentSettings {
      const { ANTHROPIC_API_KEY: _key, ...rest } = env
      return { ...settings, env: { ...rest, CLAUDE_CODE_OAUTH_TOKEN: 'made-up-token' } }
    },
    tellsUntil: true,
  },
  overload: { status: 529, body: error('overloaded_error', 'busy') },
  unauthorized: { status: 401, body: error('authentication_error', 'no') },
  question: {
    turn: {
      call: {
        tool: 'AskUserQuestion',
        input: { questions: [{ question, header: 'Colour', multiSelect: false, options }] },
      },
    },
    text: question,
    answer: 'blue',
  },
  shellTool: 'Bash',
  resumes: true,
})
