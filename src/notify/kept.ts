import type { CommandContext } from '../contract/command.ts'
import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'
import type { NamedCursor } from '../events/named-cursor.ts'
import type { Incident } from './incidents.ts'
import { type Message, type Question, questionOf } from './telegram.ts'

/** An incident that is open, with the messages that tell of it. */
export interface Kept {
  readonly incident: Incident
  readonly messages: readonly Message[]
}

/** Incidents that nobody has ended for so long are forgotten. */
const FORGET_DAYS = 30

/** What a target's reader knows to be open, in the database beside its cursor: both are written in one statement, under its fence. */
export class OpenIncidents {
  readonly #cursor: NamedCursor
  readonly #kept: Map<string, Kept>

  constructor(cursor: NamedCursor, kept: ReadonlyMap<string, Kept>) {
    this.#cursor = cursor
    this.#kept = new Map(kept)
  }

  messagesOf(subject: string): readonly Message[] {
    return this.#kept.get(subject)?.messages ?? []
  }

  /** Keeps what is open now of one subject, with its messages, at a place that has been told before. */
  async keepOne(subject: string, incident: Incident | undefined, messages: readonly Message[], seq: number) {
    const isKept = this.#kept.has(subject)
    if (incident) await this.#write(seq, [[subject, { incident, messages }]], [])
    else if (isKept) await this.#write(seq, [], [subject])
  }

  /** Keeps all that is open at this place, and moves the cursor there. */
  async keep(open: ReadonlyMap<string, Incident>, seq: number): Promise<void> {
    const changed = [...open]
      .filter(([subject, incident]) => this.#kept.get(subject)?.incident !== incident)
      .map(([subject, incident]): [string, Kept] => [
        subject,
        { incident, messages: this.messagesOf(subject) },
      ])
    const closed = [...this.#kept.keys()].filter((subject) => !open.has(subject))
    if (changed.length === 0 && closed.length === 0) return this.#cursor.ack(seq)
    await this.#write(seq, changed, closed)
  }

  async #write(seq: number, opened: readonly [string, Kept][], closed: readonly string[]): Promise<void> {
    const rows = opened.map(([subject, kept]) => ({ subject, ...kept }))
    await this.#cursor.writeUnder(
      'select swarm.keep_notices($1, $2, $3::bigint, $4::integer, $5::bigint, $6::text::jsonb, $7::text::jsonb) as held',
      [seq, JSON.stringify(rows), JSON.stringify(closed)],
    )
    for (const [subject, kept] of opened) this.#kept.set(subject, kept)
    for (const subject of closed) this.#kept.delete(subject)
  }
}

/** What was open for a target when its cursor was moved last, by subject. */
export async function readKept(ctx: CommandContext, target: string): Promise<Map<string, Kept>> {
  const rows = await ctx.db.read<{ subject: string; incident: Json; messages: Json }>(
    `select subject, incident, messages from swarm.notices where repo_id = $1 and target = $2
      and kept_at > clock_timestamp() - make_interval(days => $3::integer)`,
    [ctx.repo, target, FORGET_DAYS],
  )
  return new Map(
    rows.map(({ subject, incident, messages }) => [
      subject,
      // as `keep` wrote it
      { incident: incident as unknown as Incident, messages: readMessages(messages) },
    ]),
  )
}

/** The open question that a message of one of these targets is about. */
export async function questionAbout(
  ctx: CommandContext,
  targets: readonly string[],
  message: Message,
): Promise<{ readonly target: string; readonly question: Question } | undefined> {
  const [row] = await ctx.db.read<{ target: string; subject: string; incident: Json }>(
    `select target, subject, incident from swarm.notices where repo_id = $1
      and target in (select json_array_elements_text($2::text::json)) and messages @> $3::text::jsonb`,
    [ctx.repo, JSON.stringify(targets), JSON.stringify([{ chat: message.chat, id: message.id }])],
  )
  if (!row) return undefined
  const incident: JsonObject = isJsonObject(row.incident) ? row.incident : {}
  const event = isJsonObject(incident.event) ? incident.event : {}
  const question = questionOf(row.subject, event)
  return question && { target: row.target, question }
}

function readMessages(value: Json): readonly Message[] {
  return (Array.isArray(value) ? value : []).flatMap((one) =>
    isJsonObject(one) && typeof one.chat === 'number' && typeof one.id === 'number'
      ? [{ chat: one.chat, id: one.id }]
      : [],
  )
}
