import type { JsonObject } from '../../contract/json.ts'
import { listOf, objectOf, textOf } from '../fields.ts'
import { joinQuestions, splitAnswer } from '../questions.ts'

/** The questions of the tool AskUserQuestion as one text. */
export function questionOf(input: JsonObject): {
  readonly text: string
  readonly options: readonly string[]
} {
  return joinQuestions(
    listOf(input.questions).map((entry) => {
      const { question, options } = objectOf(entry)
      const labels = listOf(options).flatMap((option) => textOf(objectOf(option).label) ?? [])
      return { text: textOf(question) ?? '', options: labels }
    }),
  )
}

/** The answer as the tool wants it: by question. */
export function answersByQuestion(input: JsonObject, answer: string): JsonObject {
  const questions = listOf(input.questions).map((entry) => textOf(objectOf(entry).question) ?? '')
  const answers = splitAnswer(answer, questions.length)
  return Object.fromEntries(questions.map((question, at) => [question, answers[at] ?? answer]))
}
