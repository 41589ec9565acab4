import { beginEvents, countTurns, type Format, fields, freshId, list, sendJson } from './scenario.ts'

/** Responses API of OpenAI. */
export const responses: Format = {
  name: 'responses',
  accepts: (path) => /\/responses(\?|\/|$)|\/models(\?|$)/.test(path),
  read(path, body) {
    if (/\/models/.test(path)) return { purpose: 'other', turn: 0, tools: [] }
    const tools = list(body.tools).flatMap((tool) => {
      const one = (entry: typeof tool, namespace?: string) => ({
        name: String(entry.name ?? entry.type),
        namespace,
        parameters: fields(entry.parameters),
      })
      return tool.type === 'namespace'
        ? list(tool.tools).map((inner) => one(inner, String(tool.name)))
        : [one(tool)]
    })
    const turn = countTurns(list(body.input), ({ type, role }) => {
      if (type === 'function_call' || type === 'custom_tool_call' || role === 'assistant') return 'model'
      return type === 'message' && role === 'user' ? 'prompt' : undefined
    })
    return { purpose: 'work', turn, tools }
  },
  other: (res) => sendJson(res, { object: 'list', data: [], models: [] }),
  send(res, _body, { text, call, hang }) {
    const write = beginEvents(res)
    const event = (type: string, more: object) => write({ type, ...more }, type)
    const response = { id: freshId('resp_') }
    event('response.created', { response })
    if (hang) return
    const output: object[] = []
    if (text !== undefined) {
      const item = {
        type: 'message',
        role: 'assistant',
        id: freshId('msg_'),
        content: [{ type: 'output_text', text }],
      }
      event('response.output_item.added', { output_index: 0, item: { ...item, content: [] } })
      event('response.output_text.delta', {
        item_id: item.id,
        output_index: 0,
        content_index: 0,
        delta: text,
      })
      event('response.output_item.done', { output_index: 0, item })
      output.push(item)
    }
    if (call) {
      const { id, name, namespace, input } = call
      const item = {
        type: 'function_call',
        id: freshId('fc_'),
        call_id: id,
        name,
        ...(namespace === undefined ? {} : { namespace }),
        arguments: JSON.stringify(input),
      }
      event('response.output_item.done', { output_index: output.length, item })
      output.push(item)
    }
    const usage = {
      input_tokens: 900,
      input_tokens_details: { cached_tokens: 90 },
      output_tokens: 20,
      output_tokens_details: { reasoning_tokens: 2 },
      total_tokens: 920,
    }
    event('response.completed', { response: { ...response, status: 'completed', output, usage } })
    res.end()
  },
}
