import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import type { JsonObject } from '../../contract/json.ts'
import { objectOf, parseObject, textOf, type Value } from '../fields.ts'
import { createLineReader } from '../line-reader.ts'

/** The demo agent's side of the lines of adapter `command`. */
export class DemoPipe {
  /** The first line. */
  readonly orders: Promise<JsonObject>
  /** Resolves when stdin has ended. */
  readonly ended: Promise<void>
  readonly #output: Writable
  readonly #sent: string[] = []
  readonly #answers = new Map<string, JsonObject>()
  readonly #stop = new AbortController()
  #wake: (() => void)[] = []

  constructor(input: Readable, out: Writable) {
    this.#output = out
    let first: (orders: JsonObject) => void = () => {}
    this.orders = new Promise((resolve) => {
      first = resolve
    })
    this.ended = this.#read(input, (value) => first(value))
  }

  /** Aborted when an interrupt has come. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  /** Writes one event; waits while its reader is slow. */
  async say(event: string, fields: JsonObject = {}): Promise<void> {
    await this.write(`${JSON.stringify({ event, ...fields })}\n`)
  }

  async write(text: string): Promise<void> {
    if (!this.#output.write(text)) await once(this.#output, 'drain')
  }

  /** Words that have come since the last call. */
  heard(): readonly string[] {
    return this.#sent.splice(0)
  }

  /** Waits for the answer to a question or permission request; undefined when stdin ends or an interrupt comes first. */
  async answerTo(id: string): Promise<JsonObject | undefined> {
    let over = false
    this.ended.then(() => {
      over = true
      this.#tell()
    })
    while (!over && !this.signal.aborted && !this.#answers.has(id)) await this.news()
    return this.#answers.get(id)
  }

  /** Resolves when a line has come. */
  news(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve))
  }

  async #read(input: Readable, first: (orders: JsonObject) => void): Promise<void> {
    const reader = createLineReader()
    let isFirst = true
    const take = (text: string) => {
      const value = parseObject(text) ?? { prompt: text }
      if (isFirst) first(value)
      else this.#hear(value)
      isFirst = false
      this.#tell()
    }
    try {
      for await (const chunk of input) for (const { text } of reader.push(Buffer.from(chunk))) take(text)
    } catch {
      // stdin was closed by ourselves, on the way out
    }
    for (const { text } of reader.end()) take(text)
    if (isFirst) first({})
  }

  #hear({ send, answer, interrupt }: Readonly<Record<string, Value>>): void {
    if (typeof send === 'string') this.#sent.push(send)
    const { id, ...fields } = objectOf(answer)
    if (textOf(id) !== undefined) this.#answers.set(String(id), fields)
    if (interrupt === true) this.#stop.abort()
  }

  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}
