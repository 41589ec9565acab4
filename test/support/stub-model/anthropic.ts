import { beginEvents, countTurns, type Format, fields, freshId, list, sendJson } from './scenario.ts'

const USAGE = {
  input_tokens: 900,
  cache_creation_input_tokens: 90,
  cache_read_input_tokens: 9,
  output_tokens: 1,
}

/** Messages API of Anthropic. */
export const anthropic: Format = {
  name: 'anthropic',
  accepts: (path) => path.startsWith('/v1/messages'),
  read(path, body) {
    if (path.includes('count_tokens')) return { purpose: 'other', turn: 0, tools: [] }
    const tools = list(body.tools).map(({ name, input_schema }) => ({
      name: String(name),
      parameters: fields(input_schema),
    }))
    const turn = countTurns(list(body.messages), ({ role, content }) => {
      if (role === 'assistant') return 'model'
      const isResult = list(content).some(({ type }) => type === 'tool_result')
      return role === 'user' && !isResult ? 'prompt' : undefined
    })
    return { purpose: tools.length > 0 ? 'work' : 'aside', turn, tools }
  },
  other: (res) => sendJson(res, { input_tokens: 900 }),
  send(res, body, { text, call, hang }) {
    const content = [
      ...(text === undefined ? [] : [{ type: 'text', text }]),
      ...(call ? [{ type: 'tool_use', id: call.id, name: call.name, input: call.input }] : []),
    ]
    const stop_reason = call ? 'tool_use' : 'end_turn'
    const message = {
      id: freshId('msg_'),
      type: 'message',
      role: 'assistant',
      model: body.model,
      content: [],
    }
    if (body.stream !== true) {
      return sendJson(res, {
        ...message,
        content,
        stop_reason,
        stop_sequence: null,
        usage: { ...USAGE, output_tokens: 20 },
      })
    }
    const write = beginEvents(res)
    const event = (type: string, more: object = {}) => write({ type, ...more }, type)
    event('message_start', { message: { ...message, stop_reason: null, stop_sequence: null, usage: USAGE } })
    if (hang) return
    for (const [index, block] of content.entries()) {
      const isText = block.type === 'text'
      event('content_block_start', {
        index,
        content_block: isText ? { type: 'text', text: '' } : { ...block, input: {} },
      })
      const delta = isText
        ? { type: 'text_delta', text }
        : { type: 'input_json_delta', partial_json: JSON.stringify(call?.input ?? {}) }
      event('content_block_delta', { index, delta })
      event('content_block_stop', { index })
    }
    event('message_delta', { delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 20 } })
    event('message_stop')
    res.end()
  },
}
