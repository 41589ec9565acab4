import type { Json, JsonObject } from '../../contract/json.ts'
import type { SessionOrders } from '../adapter.ts'
import { type Dialogue, output, type Step } from '../dialogue.ts'
import type { AgentEvent, ResultEvent, Usage } from '../events.ts'
import { numberOf, objectOf, parseObject, present, textOf } from '../fields.ts'
import { valueText } from '../text.ts'
import { codexFailure } from './errors.ts'
import { itemCompleted, itemStarted, toolOf } from './items.ts'
import { asksForTools } from './launch.ts'
import { fullestWindow, limitEvent } from './limits.ts'
import { type ServerRequest, serverRequest } from './requests.ts'

/** JSON-RPC's code for a method that is not there. */
const NO_METHOD = -32_601

/** JSON-RPC lines of `codex app-server`. */
export function codexDialogue({ prompt, settings, resume, cwd }: SessionOrders): Dialogue {
  let lastId = 0
  /** What follows when a request of ours has been answered. */
  const replies = new Map<number, { done(result: JsonObject): Step; failed(error: JsonObject): Step }>()
  const asked = new Map<string, ServerRequest & { readonly rpcId: Json }>()
  let thread = ''
  /** The turn that is worked on; undefined between turns. */
  let turn: string | undefined
  let queued: string[] = []
  let answer = ''
  let denied: string[] = []
  let window: ReturnType<typeof fullestWindow>
  let total: Usage = {}

  const fails = (error: JsonObject): Step => ({ events: [failure({ message: error.message })] })
  const request = (
    method: string,
    params: JsonObject,
    done: (result: JsonObject) => Step,
    failed = fails,
  ): Step => {
    replies.set(++lastId, { done, failed })
    return { write: [JSON.stringify({ id: lastId, method, params })] }
  }
  const failure = (error: JsonObject): ResultEvent => ({ kind: 'result', ok: false, ...codexFailure(error) })
  const input = (text: string) => [{ type: 'text', text, text_elements: [] }]

  const startTurn = (text: string): Step =>
    request('turn/start', { threadId: thread, input: input(text) }, (result) => {
      turn = textOf(objectOf(result.turn).id)
      return {}
    })

  const startThread = (): Step => {
    const params = present({
      cwd,
      approvalPolicy: asksForTools(settings) ? 'untrusted' : 'never',
      model: settings.model,
      developerInstructions: settings.system_prompt,
      threadId: resume,
      excludeTurns: resume === undefined ? undefined : true,
    })
    return request(resume === undefined ? 'thread/start' : 'thread/resume', params, (result) => {
      thread = String(objectOf(result.thread).id)
      const event: AgentEvent = {
        kind: 'initialised',
        nativeId: thread,
        ...present({ model: textOf(result.model) }),
      }
      return { events: [event], ...startTurn(prompt) }
    })
  }

  const turnOver = (done: JsonObject): Step => {
    const { status, error } = done
    turn = undefined
    const verdict = (): ResultEvent => {
      if (status === 'failed') return failure(objectOf(error))
      const ok = status === 'completed'
      const end = { ok, reason: ok ? 'completed' : 'interrupted', detail: answer } as const
      return {
        kind: 'result',
        ...end,
        native: { status: valueText(status) },
        ...(denied.length > 0 ? { denied } : {}),
      }
    }
    const result = verdict()
    const limit: readonly AgentEvent[] =
      result.reason === 'quota' ? [{ kind: 'rate_limited', state: 'reached', ...window }] : []
    const events = [...limit, { kind: 'usage', of: 'total', usage: total } as const, result]
    answer = ''
    denied = []
    const [next, ...rest] = queued
    queued = rest
    return next === undefined ? { events } : { events, ...startTurn(next) }
  }

  const itemOver = (item: JsonObject): AgentEvent => {
    const tool = toolOf(item)
    if (tool !== undefined && item.status === 'declined') denied.push(tool)
    if (item.type === 'agentMessage') answer = valueText(item.text)
    return itemCompleted(item)
  }

  const notice = (method: string, params: JsonObject): Step => {
    const one = (event: AgentEvent): Step => ({ events: [event] })
    switch (method) {
      case 'turn/completed':
        // agents that this one has started have threads of their own
        return params.threadId === thread
          ? turnOver(objectOf(params.turn))
          : one({ kind: 'activity', what: 'agent ended' })
      case 'turn/started':
        if (params.threadId === thread) turn = textOf(objectOf(params.turn).id)
        return one({ kind: 'activity', what: 'turn begins' })
      case 'item/started':
        return one(itemStarted(objectOf(params.item)))
      case 'item/completed':
        return one(itemOver(objectOf(params.item)))
      case 'item/commandExecution/outputDelta':
        return one({ kind: 'activity', what: 'tool runs', id: String(params.itemId) })
      case 'thread/tokenUsage/updated': {
        const tokens = objectOf(params.tokenUsage)
        if (params.threadId === thread) total = usageOf(objectOf(tokens.total))
        return {
          events: [
            { kind: 'usage', of: 'step', usage: usageOf(objectOf(tokens.last)) },
            { kind: 'turn_ended' },
          ],
        }
      }
      case 'account/rateLimits/updated':
        window = fullestWindow(objectOf(params.rateLimits))
        return one(limitEvent(window))
      case 'error': {
        // one that is final comes again with the end of the turn
        const { reason, detail } = codexFailure(objectOf(params.error))
        return params.willRetry === true
          ? one({ kind: 'retrying', cause: reason, detail })
          : one({ kind: 'output', from: 'stdout', text: detail })
      }
      default:
        return one(
          /delta|status|progress/i.test(method)
            ? { kind: 'activity', what: method }
            : { kind: 'unknown', type: method },
        )
    }
  }

  const serve = (method: string, rpcId: Json, params: JsonObject): Step => {
    const id = `rpc-${String(rpcId)}`
    const wanted = serverRequest(method, id, params)
    if (!wanted) {
      // unanswered, the server would wait for ever
      const error = { code: NO_METHOD, message: `${method} is not served by this client` }
      return { write: [JSON.stringify({ id: rpcId, error })], events: [{ kind: 'unknown', type: method }] }
    }
    asked.set(id, { ...wanted, rpcId })
    return { events: [wanted.event] }
  }

  return {
    open: () =>
      request(
        'initialize',
        {
          clientInfo: { name: 'swarm', title: 'swarm', version: '1' },
          capabilities: { experimentalApi: true, requestAttestation: false },
        },
        () => {
          const { write = [] } = startThread()
          return { write: [JSON.stringify({ method: 'initialized' }), ...write] }
        },
      ),
    line(text) {
      const message = parseObject(text)
      if (!message) return output('stdout', text)
      const method = textOf(message.method)
      if (method !== undefined) {
        const params = objectOf(message.params)
        return message.id === undefined ? notice(method, params) : serve(method, message.id, params)
      }
      const reply = replies.get(Number(message.id))
      replies.delete(Number(message.id))
      if (!reply) return { events: [{ kind: 'unknown', type: 'reply' }] }
      return message.error === undefined
        ? reply.done(objectOf(message.result))
        : reply.failed(objectOf(message.error))
    },
    send(text) {
      if (thread === '') {
        queued.push(text)
        return {}
      }
      if (turn === undefined) return startTurn(text)
      const params = { threadId: thread, input: input(text), expectedTurnId: turn }
      const later = (): Step => {
        // the turn has ended meanwhile, or is of a kind that takes no words
        if (turn === undefined) return startTurn(text)
        queued.push(text)
        return {}
      }
      return request('turn/steer', params, () => ({}), later)
    },
    answer(id, said) {
      const one = asked.get(id)
      if (!one) return undefined
      asked.delete(id)
      return { write: [JSON.stringify({ id: one.rpcId, result: one.result(said) })] }
    },
    interrupt() {
      if (turn === undefined) return undefined
      const ignore = () => ({})
      return request('turn/interrupt', { threadId: thread, turnId: turn }, ignore, ignore)
    },
  }
}

function usageOf(tokens: JsonObject): Usage {
  const cached = numberOf(tokens.cachedInputTokens)
  const input = numberOf(tokens.inputTokens)
  return present({
    // its input includes what came from the cache
    input: input === undefined ? undefined : input - (cached ?? 0),
    output: numberOf(tokens.outputTokens),
    cacheRead: cached,
    cacheWrite: numberOf(tokens.cacheWriteInputTokens),
  })
}
