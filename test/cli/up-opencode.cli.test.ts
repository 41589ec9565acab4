import { opencodeSettings } from './settings.ts'
import { describeUp } from './up.ts'

const error = (message: string, type = 'error') => ({ error: { message, type } })

const question = 'Which colour?'
const options = ['red', 'blue'].map((label) => ({ label, description: label }))

await describeUp({
  name: 'opencode',
  settings: opencodeSettings('opencode'),
  quota: {
    // it would wait for a shorter time by itself
    holdsMs: 40_000,
    isRelative: true,
    fault: (_until, ms) => ({
      status: 429,
      headers: { 'retry-after': String(ms / 1_000) },
      body: error('rate limit'),
    }),
    tellsUntil: true,
  },
  overload: { status: 503, body: error('overloaded') },
  unauthorized: { status: 401, body: error('bad key') },
  question: {
    turn: { call: { tool: 'question', input: { questions: [{ question, header: 'Colour', options }] } } },
    text: question,
    answer: 'blue',
    // this tool is offered to clients that say they are one
    changes: ({ env, ...settings }) => ({
      ...settings,
      env: { ...env, OPENCODE_CLIENT: 'cli', OPENCODE_ENABLE_QUESTION_TOOL: '1' },
    }),
  },
  shellTool: 'bash',
  resumes: true,
})
