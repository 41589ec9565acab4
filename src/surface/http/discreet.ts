import type { Reply } from '../../contract/envelope.ts'
import type { SwarmError } from '../../contract/errors.ts'
import { getLogger } from '../../logger.ts'
import type { Dispatcher } from '../../runtime/dispatch.ts'

/** The same text is logged again after so long. */
const QUIET_MS = 10_000

let lastText = ''
let lastAt = Number.NEGATIVE_INFINITY

/**
 * An error as clients of a server may read it: neither the address and name of the database nor what it or a fault said in its own words,
 * which only whoever runs the server reads, in the log.
 */
export function discreet(error: SwarmError): SwarmError {
  const { database, ...ctx } = error.ctx
  if (error.code !== 'INTERNAL' && database === undefined) return error
  log(error)
  const shown = typeof database === 'string' ? database : ''
  const named = shown ? error.message.replaceAll(shown, 'the database') : error.message
  // what stands behind a colon are the words of the server or of the fault
  const [said = ''] = named.split(': ', 1)
  return error.with({ message: said === named ? said : `${said}; the log of this server says why`, ctx })
}

/** A dispatcher whose answers are discreet. */
export function discreetly(dispatcher: Dispatcher): Dispatcher {
  const quiet = (reply: Reply): Reply => (reply.ok ? reply : { ...reply, error: discreet(reply.error) })
  return {
    ...dispatcher,
    async accept(raw, client) {
      const accepted = await dispatcher.accept(raw, client)
      return 'ok' in accepted ? quiet(accepted) : accepted
    },
    async run(request, emit, signal) {
      return quiet(await dispatcher.run(request, (lines) => emit(lines.map(quiet)), signal))
    },
    async runAppends(requests) {
      return (await dispatcher.runAppends(requests)).map(quiet)
    },
    async mayRun(raw) {
      const answer = await dispatcher.mayRun(raw)
      return 'refusal' in answer ? { refusal: discreet(answer.refusal) } : answer
    },
  }
}

function log(error: SwarmError): void {
  const now = performance.now()
  if (error.message === lastText && now - lastAt < QUIET_MS) return
  lastText = error.message
  lastAt = now
  const { code, ctx } = error
  if (code === 'INTERNAL') getLogger().error({ code, ctx, err: error }, error.message)
  else getLogger().warn({ code, ctx }, error.message)
}
