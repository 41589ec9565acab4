import { isJsonObject, type Json, type JsonObject } from '../../contract/json.ts'

/** Calls of a server on loopback that knows us by a password. */
export class OpencodeServer {
  readonly #base: string
  readonly #headers: Readonly<Record<string, string>>

  constructor(base: string, password: string) {
    this.#base = base
    const key = Buffer.from(`opencode:${password}`).toString('base64')
    this.#headers = { authorization: `Basic ${key}`, 'content-type': 'application/json' }
  }

  /** Answers the JSON object of the reply, empty when there is none; throws what the server says when it refuses. */
  async call(method: 'GET' | 'POST', path: string, body?: Json): Promise<JsonObject> {
    const response = await fetch(`${this.#base}${path}`, {
      method,
      headers: this.#headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text.slice(0, 500)}`)
    const value: unknown = text === '' ? {} : JSON.parse(text)
    return isJsonObject(value) ? value : {}
  }

  /** The stream of events; it has begun when this resolves. */
  async events(): Promise<AsyncIterable<Uint8Array>> {
    const response = await fetch(`${this.#base}/event`, { headers: this.#headers })
    if (!response.ok || !response.body) throw new Error(`/event answered ${response.status}`)
    return response.body
  }
}
