import { beginEvents, countTurns, type Format, fields, freshId, list, sendJson } from './scenario.ts'

const USAGE = {
  prompt_tokens: 900,
  completion_tokens: 20,
  total_tokens: 920,
  prompt_tokens_details: { cached_tokens: 90 },
}

/** Chat completions of OpenAI, which many others offer too. */
export const chat: Format = {
  name: 'chat',
  accepts: (path) => path.includes('/chat/completions'),
  read(_path, body) {
    const tools = list(body.tools).map((tool) => {
      const { name, parameters } = fields(tool.function)
      return { name: String(name), parameters: fields(parameters) }
    })
    const turn = countTurns(list(body.messages), ({ role }) =>
      role === 'assistant' ? 'model' : role === 'user' ? 'prompt' : undefined,
    )
    return { purpose: tools.length > 0 ? 'work' : 'aside', turn, tools }
  },
  other: (res) => sendJson(res, {}),
  send(res, body, { text, call, hang }) {
    const base = { id: freshId('chatcmpl-'), created: 1, model: body.model }
    const calls = call && [
      {
        index: 0,
        id: call.id,
        type: 'function',
        function: { name: call.name, arguments: JSON.stringify(call.input) },
      },
    ]
    const finish_reason = call ? 'tool_calls' : 'stop'
    if (body.stream !== true) {
      const message = { role: 'assistant', content: text ?? null, ...(calls ? { tool_calls: calls } : {}) }
      const choices = [{ index: 0, finish_reason, message }]
      return sendJson(res, { ...base, object: 'chat.completion', choices, usage: USAGE })
    }
    const write = beginEvents(res)
    const chunk = (delta: object, finish: string | null = null) =>
      write({
        ...base,
        object: 'chat.completion.chunk',
        choices: [{ index: 0, delta, finish_reason: finish }],
      })
    chunk({ role: 'assistant', content: '' })
    if (hang) return
    if (text !== undefined) chunk({ content: text })
    if (calls) chunk({ tool_calls: calls })
    chunk({}, finish_reason)
    write({ ...base, object: 'chat.completion.chunk', choices: [], usage: USAGE })
    res.end('data: [DONE]\n\n')
  },
}
