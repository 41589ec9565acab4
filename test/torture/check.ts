import type { TortureReader } from './readers.ts'

/** A row of the table: what a reader should have been sent. */
export interface Committed {
  readonly seq: number
  readonly id: string
  readonly type: string
}

export interface Findings {
  /** Committed events that a reader which went on beyond them was never sent. */
  missed: number
  /** Events that were sent again though they had been acked, or though the reader had gone on from a later cursor. */
  repeated: number
  /** Events in the wrong order, or that are not in the table. */
  wrong: number
  /** One line each, for whoever must find out why. */
  readonly details: string[]
}

/**
 * Compares what every process of every reader was sent with the table: it must be exactly the rows after its start, in order, as
 * far as it came. The processes of a reader together must have been sent all of them.
 */
export function compare(readers: readonly TortureReader[], table: readonly Committed[]): Findings {
  const findings: Findings = { missed: 0, repeated: 0, wrong: 0, details: [] }
  for (const reader of readers) compareReader(reader, table, findings)
  return findings
}

function compareReader(reader: TortureReader, table: readonly Committed[], findings: Findings): void {
  const { name, kind, eventTypes } = reader.options
  const wanted = eventTypes ? table.filter((row) => eventTypes.includes(row.type)) : table
  const rank = new Map(wanted.map((row, at) => [row.seq, at]))
  const tell = (text: string) => {
    if (findings.details.length < 50) findings.details.push(`${name}: ${text}`)
  }
  let before = 0
  for (const [number, { start, acked, items }] of reader.sessions.entries()) {
    if (start < acked) {
      findings.repeated += 1
      tell(`process ${number} began at ${start}, ${acked} had been acked`)
    }
    // a raw reader names where it goes on from
    if (kind === 'raw' && start !== before) {
      findings.wrong += 1
      tell(`process ${number} began at ${start} instead of ${before}`)
    }
    let next = wanted.findIndex((row) => row.seq > start)
    if (next < 0) next = wanted.length
    for (const { seq, id } of items) {
      const at = rank.get(seq)
      if (at === undefined || wanted[at]?.id !== id) {
        findings.wrong += 1
        tell(`process ${number} was sent ${seq} ${id}, which is not in the table`)
        continue
      }
      if (at < next) {
        findings.repeated += 1
        tell(`process ${number} was sent ${seq} again, or too late`)
        continue
      }
      if (at > next) {
        findings.missed += at - next
        tell(`process ${number} was not sent ${at - next} from ${wanted[next]?.seq} on, before ${seq}`)
      }
      next = at + 1
    }
    before = items.at(-1)?.seq ?? start
  }
}

/** The events that nobody of these readers was sent. */
export function neverSent(readers: readonly TortureReader[], table: readonly Committed[]): number {
  const sent = new Set(
    readers.flatMap((reader) => reader.sessions.flatMap(({ items }) => items.map(({ seq }) => seq))),
  )
  const types = readers[0]?.options.eventTypes
  return table.filter((row) => (types === undefined || types.includes(row.type)) && !sent.has(row.seq)).length
}
