/** One server-sent event. */
export interface SseEvent {
  readonly id: string
  readonly event: string
  readonly data: unknown
}

export interface SseStream {
  readonly said: readonly SseEvent[]
  /** Resolves with the first that fits, also one that has come already. */
  until(fits: (event: SseEvent) => boolean): Promise<SseEvent>
  close(): void
}

/** Reads a stream of server-sent events until it is closed. */
export async function readSse(
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<SseStream> {
  const stop = new AbortController()
  const answer = await fetch(url, { headers, signal: stop.signal })
  if (answer.status !== 200 || !answer.body) throw new Error(`status ${answer.status}`)
  const said: SseEvent[] = []
  let waiting: { fits: (event: SseEvent) => boolean; resolve: (event: SseEvent) => void }[] = []
  let rest = ''
  const { body } = answer
  const read = async () => {
    const decoder = new TextDecoder()
    for await (const chunk of body) {
      const blocks = (rest + decoder.decode(chunk, { stream: true })).split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) take(block)
    }
  }
  const take = (block: string) => {
    const fields = new Map(
      block.split('\n').map((line): [string, string] => {
        const at = line.indexOf(': ')
        return [line.slice(0, at), line.slice(at + 2)]
      }),
    )
    const event = fields.get('event')
    if (event === undefined) return
    const one = { id: fields.get('id') ?? '', event, data: JSON.parse(fields.get('data') ?? 'null') }
    said.push(one)
    for (const waiter of waiting) if (waiter.fits(one)) waiter.resolve(one)
    waiting = waiting.filter(({ fits }) => !fits(one))
  }
  read().catch(() => {})
  return {
    said,
    until: (fits) =>
      new Promise((resolve) => {
        const found = said.find(fits)
        if (found) resolve(found)
        else waiting.push({ fits, resolve })
      }),
    close: () => stop.abort(),
  }
}
