import type { Json, JsonObject } from '../../contract/json.ts'
import type { Answer } from '../adapter.ts'
import type { AgentEvent } from '../events.ts'
import { listOf, objectOf, textOf } from '../fields.ts'
import { joinQuestions, splitAnswer } from '../questions.ts'
import { valueText } from '../text.ts'

/** A request of the server that waits for our answer. */
export interface ServerRequest {
  readonly event: AgentEvent
  result(answer: Answer): Json
}

/** What the server asks for; undefined for a request that this client does not serve. */
export function serverRequest(method: string, id: string, params: JsonObject): ServerRequest | undefined {
  const permission = (tool: string, input: string): AgentEvent => ({ kind: 'permission', id, tool, input })
  const decision = (answer: Answer): Json => ({ decision: answer.kind === 'deny' ? 'decline' : 'accept' })
  switch (method) {
    case 'item/commandExecution/requestApproval':
      return { event: permission('command', valueText(params.command ?? params.reason)), result: decision }
    case 'item/fileChange/requestApproval':
      return { event: permission('edit', valueText(params.grantRoot ?? params.reason)), result: decision }
    case 'mcpServer/elicitation/request':
      return {
        event: permission(`mcp__${textOf(params.serverName) ?? ''}`, valueText(params.message)),
        result: ({ kind }) => ({
          action: kind === 'deny' ? 'decline' : 'accept',
          content: kind === 'deny' ? null : {},
          _meta: null,
        }),
      }
    case 'item/tool/requestUserInput': {
      const questions = listOf(params.questions).map(objectOf)
      return {
        event: { kind: 'question', id, ...joinQuestions(questions.map(questionOf)) },
        result: (answer) => ({ answers: answersOf(questions, answer) }),
      }
    }
    default:
      return undefined
  }
}

function questionOf({ question, options }: JsonObject) {
  const labels = listOf(options).flatMap((option) => textOf(objectOf(option).label) ?? [])
  return { text: textOf(question) ?? '', options: labels }
}

function answersOf(questions: readonly JsonObject[], answer: Answer): JsonObject {
  const texts = answer.kind === 'text' ? splitAnswer(answer.text, questions.length) : []
  return Object.fromEntries(
    questions.map(({ id }, at) => [String(id), { answers: texts[at] === undefined ? [] : [texts[at]] }]),
  )
}
