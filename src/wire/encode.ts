import { type RenderRequest, type Reply, type Rid, toEnvelope } from '../contract/envelope.ts'
import { SwarmError } from '../contract/errors.ts'

/** An envelope as its line, newline included, with the reply that it says. */
export interface Encoded {
  readonly reply: Reply
  readonly text: string
}

/**
 * Writes a reply as one line. `rid` is added when the reply lacks it. A reply that cannot be written as JSON is a
 * fault: it becomes INTERNAL, and `onFault` hears of it.
 */
export function encodeReply(
  reply: Reply,
  rid: Rid | undefined,
  render: RenderRequest,
  onFault?: (fault: unknown) => void,
): Encoded {
  const whole = reply.rid === undefined && rid !== undefined ? { ...reply, rid } : reply
  try {
    return { reply: whole, text: `${JSON.stringify(toEnvelope(whole, render))}\n` }
  } catch (fault) {
    onFault?.(fault)
    const { t, ms } = whole
    const broken: Reply = {
      ok: false,
      ...(rid === undefined ? {} : { rid }),
      t,
      ms,
      error: faultIn('the answer'),
    }
    return { reply: broken, text: `${JSON.stringify(toEnvelope(broken, () => ''))}\n` }
  }
}

/** What a client is told of a fault. The cause goes to the log: it may quote what must not be shown. */
export function faultIn(where: string): SwarmError {
  return new SwarmError(
    'INTERNAL',
    `a fault in swarm: ${where} could not be made; the log on stderr says why`,
  )
}
