import type { Emit, Reply } from '../../contract/envelope.ts'
import type { JsonObject } from '../../contract/json.ts'
import type { Dispatcher } from '../../runtime/dispatch.ts'
import { inspect } from '../../wire/inspect.ts'

let waits = 0

/**
 * Runs one request of a holder whose requests have several clients. What waits is known by a number of its own, since clients choose the
 * same `rid`, and ends when the client has gone.
 */
export async function perform(
  dispatcher: Dispatcher,
  raw: JsonObject,
  options: { readonly gone: () => AbortSignal; readonly emit?: Emit },
): Promise<Reply> {
  const flaw = inspect(raw)
  if (flaw) return dispatcher.refuse(flaw)
  const accepted = await dispatcher.accept(raw)
  if ('ok' in accepted) return accepted
  const { rid } = accepted
  const emit = options.emit ?? (async () => {})
  if (!accepted.waits) return dispatcher.run(accepted, emit)
  const own = `http-${++waits}`
  const reply = await dispatcher.run(
    { ...accepted, rid: own },
    (lines) => emit(lines.map((line) => named(line, rid))),
    options.gone(),
  )
  return named(reply, rid)
}

function named(reply: Reply, rid: Reply['rid']): Reply {
  const { rid: _own, ...rest } = reply
  return rid === undefined ? rest : { ...rest, rid }
}
