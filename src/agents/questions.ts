export interface OneQuestion {
  readonly text: string
  readonly options: readonly string[]
}

/** Several questions as one: numbered lines, each with its options in brackets. A single one stays as it is. */
export function joinQuestions(questions: readonly OneQuestion[]): OneQuestion {
  const [first] = questions
  if (questions.length <= 1) return first ?? { text: '', options: [] }
  const lines = questions.map(({ text, options }, at) => {
    const among = options.length > 0 ? ` (${options.join(' | ')})` : ''
    return `${at + 1}. ${text}${among}`
  })
  return { text: lines.join('\n'), options: [] }
}

/** The answers to several questions: a line each, with or without its number; one line answers all. */
export function splitAnswer(answer: string, count: number): readonly string[] {
  const lines = answer
    .split('\n')
    .map((line) => line.replace(/^\s*\d+[.)]\s*/, '').trim())
    .filter(Boolean)
  if (count <= 1 || lines.length <= 1) return Array.from({ length: count }, () => answer)
  return lines
}
