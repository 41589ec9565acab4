import { codexSettings } from './settings.ts'
import { describeUp } from './up.ts'

const error = (type: string, message: string, more = {}) => ({ error: { type, message, ...more } })

const question = 'Which colour?'
const options = ['red', 'blue'].map((label) => ({ label, description: label }))

await describeUp({
  name: 'codex',
  settings: codexSettings,
  quota: {
    fault(until) {
      const resets_at = Math.floor(until / 1_000)
      return {
        status: 429,
        headers: {
          'x-codex-primary-used-percent': '100',
          'x-codex-primary-window-minutes': '300',
          'x-codex-primary-reset-at': String(resets_at),
        },
        body: error('usage_limit_reached', 'the limit is reached', { plan_type: 'pro', resets_at }),
      }
    },
    tellsUntil: true,
  },
  overload: { status: 503, body: error('server_error', 'busy') },
  unauthorized: { status: 401, body: error('invalid_request_error', 'bad key') },
  question: {
    turn: {
      call: {
        tool: 'request_user_input',
        input: { questions: [{ id: 'colour', header: 'Colour', question, options }] },
      },
    },
    text: question,
    answer: 'blue',
    // without it that tool is for its plan mode alone
    changes: ({ args = [], ...settings }) => ({
      ...settings,
      args: [...args, '-c', 'features.default_mode_request_user_input=true'],
    }),
  },
  shellTool: 'command',
  resumes: true,
})
