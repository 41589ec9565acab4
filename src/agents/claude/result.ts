import type { JsonObject } from '../../contract/json.ts'
import type { ResultEvent, ResultReason, Usage } from '../events.ts'
import { reasonOfStatus, reasonOfWords } from '../failures.ts'
import { listOf, numberOf, objectOf, present, textOf } from '../fields.ts'
import { valueText } from '../text.ts'

/** The program's own names of failures. */
const ERRORS: Readonly<Record<string, ResultReason>> = {
  rate_limit: 'quota',
  overloaded: 'overloaded',
  server_error: 'overloaded',
  authentication_failed: 'auth',
  oauth_org_not_allowed: 'auth',
  billing_error: 'billing',
  model_not_found: 'configuration',
}

const SUBTYPES: Readonly<Record<string, ResultReason>> = {
  error_max_turns: 'max_turns',
  error_max_budget_usd: 'budget',
}

/** Why a request failed, by the program's name for it, else by the status. */
export function reasonOfError(error: string | undefined, status: number | undefined): ResultReason {
  return ERRORS[error ?? ''] ?? reasonOfStatus(status) ?? 'failed'
}

export function usageOf(usage: JsonObject, costUsd?: number): Usage {
  return present({
    input: numberOf(usage.input_tokens),
    output: numberOf(usage.output_tokens),
    cacheRead: numberOf(usage.cache_read_input_tokens),
    cacheWrite: numberOf(usage.cache_creation_input_tokens),
    costUsd,
  })
}

/** The verdict of a `result` line. Its subtype `success` says nothing: failures have it too. */
export function resultOf(
  message: JsonObject,
  { lastError, interrupted }: { readonly lastError: string | undefined; readonly interrupted: boolean },
): { readonly usage: Usage; readonly result: ResultEvent } {
  const { subtype, is_error, terminal_reason, api_error_status } = message
  const errors = listOf(message.errors).map((error) => valueText(error))
  const detail = valueText(message.result) || errors.join('\n') || String(subtype)
  const denied = listOf(message.permission_denials).map((denial) => String(objectOf(denial).tool_name))
  const ok = is_error !== true && subtype === 'success'
  const native = present({
    subtype: textOf(subtype),
    terminal_reason: textOf(terminal_reason),
    api_error_status: numberOf(api_error_status),
    error: lastError,
    num_turns: numberOf(message.num_turns),
  })
  const reason = ok ? 'completed' : failureOf(message, lastError, interrupted, detail)
  return {
    usage: usageOf(objectOf(message.usage), numberOf(message.total_cost_usd)),
    result: { kind: 'result', ok, reason, detail, native, ...(denied.length > 0 ? { denied } : {}) },
  }
}

function failureOf(
  { subtype, terminal_reason, api_error_status }: JsonObject,
  lastError: string | undefined,
  interrupted: boolean,
  detail: string,
): ResultReason {
  const limit = SUBTYPES[String(subtype)]
  if (limit) return limit
  const aborted = String(terminal_reason).startsWith('aborted')
  if (subtype === 'error_during_execution' && (interrupted || aborted)) return 'interrupted'
  if (terminal_reason === 'prompt_too_long') return 'prompt_too_long'
  const named = reasonOfError(lastError, numberOf(api_error_status))
  return named === 'failed' ? reasonOfWords(detail) : named
}
