import { beginEvents, countTurns, type Format, fields, freshId, list, sendJson } from './scenario.ts'

/** generateContent of Gemini. */
export const gemini: Format = {
  name: 'gemini',
  accepts: (path) => /:(streamGenerateContent|generateContent|countTokens)/.test(path),
  read(path, body) {
    if (path.includes(':countTokens')) return { purpose: 'other', turn: 0, tools: [] }
    const tools = list(body.tools).flatMap(({ functionDeclarations }) =>
      list(functionDeclarations).map(({ name, parametersJsonSchema, parameters }) => ({
        name: String(name),
        parameters: fields(parametersJsonSchema ?? parameters),
      })),
    )
    const turn = countTurns(list(body.contents), ({ role, parts }) => {
      if (role === 'model') return 'model'
      return list(parts).some(({ functionResponse }) => functionResponse) ? undefined : 'prompt'
    })
    return { purpose: tools.length > 0 ? 'work' : 'aside', turn, tools }
  },
  other: (res) => sendJson(res, { totalTokens: 900 }),
  send(res, body, { text, call, hang }) {
    const parts = [
      ...(text === undefined ? [] : [{ text }]),
      ...(call
        ? [{ functionCall: { id: call.id, name: call.name, args: call.input }, thoughtSignature: 'c2lnbmVk' }]
        : []),
    ]
    const usageMetadata = {
      promptTokenCount: 900,
      candidatesTokenCount: 20,
      totalTokenCount: 920,
      cachedContentTokenCount: 90,
    }
    const candidates = [{ index: 0, content: { role: 'model', parts }, finishReason: 'STOP' }]
    const answer = { candidates, modelVersion: 'stub', responseId: freshId('r'), usageMetadata }
    if (body.stream !== true) return sendJson(res, answer)
    // its client takes no other ends of lines
    const write = beginEvents(res, '\r\n')
    if (hang) return
    write(answer)
    res.end()
  },
}
