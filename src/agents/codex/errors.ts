import type { JsonObject } from '../../contract/json.ts'
import type { ResultReason } from '../events.ts'
import { reasonOfStatus, reasonOfWords } from '../failures.ts'
import { numberOf, objectOf, textOf } from '../fields.ts'
import { valueText } from '../text.ts'

const INFOS: Readonly<Record<string, ResultReason>> = {
  usageLimitExceeded: 'quota',
  rateLimitExceeded: 'quota',
  serverOverloaded: 'overloaded',
  policyCapacityUnavailable: 'overloaded',
  internalServerError: 'overloaded',
  unauthorized: 'auth',
  contextWindowExceeded: 'prompt_too_long',
  sessionBudgetExceeded: 'budget',
  modelNotFound: 'configuration',
}

/** Why a turn failed: by the program's name for it, by the status that it got, or by its words. */
export function codexFailure(error: JsonObject): {
  readonly reason: ResultReason
  readonly detail: string
  readonly native: JsonObject
} {
  const { codexErrorInfo: info } = error
  const detail = valueText(error.message)
  const [name, inner] =
    typeof info === 'string' ? [info, {}] : (Object.entries(objectOf(info))[0] ?? ['other', {}])
  const status = numberOf(objectOf(inner).httpStatusCode)
  const words = reasonOfWords(detail)
  // what only says that a stream broke is told better by the status or the words, when they tell anything
  const broken = /^(http|response)/.test(name) ? 'overloaded' : undefined
  const reason = INFOS[name] ?? reasonOfStatus(status) ?? (words === 'failed' ? (broken ?? words) : words)
  const native = { error: name, ...(status === undefined ? {} : { status }) }
  return {
    reason,
    detail: textOf(error.additionalDetails) ? `${detail} ${valueText(error.additionalDetails)}` : detail,
    native,
  }
}
