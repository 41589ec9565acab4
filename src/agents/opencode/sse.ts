import { isJsonObject, type JsonObject } from '../../contract/json.ts'
import { createLineReader } from '../line-reader.ts'

/** The messages of a stream of server-sent events. Each stands in one line here, as JSON never has a newline in it. */
export async function* readEvents(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<JsonObject, void, undefined> {
  const reader = createLineReader()
  for await (const chunk of body) {
    for (const { text, whole } of reader.push(Buffer.from(chunk))) {
      const value = whole && text.startsWith('data:') ? parse(text.slice(5)) : undefined
      if (value) yield value
    }
  }
}

function parse(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
