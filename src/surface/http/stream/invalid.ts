import { SwarmError } from '../../../contract/errors.ts'

interface Issue {
  readonly code: string
  readonly path: readonly PropertyKey[]
  readonly message: string
  readonly keys?: readonly string[]
}

/** What is wrong with a message or query that is no verb, as an error that names the field. */
export function invalid(issues: readonly Issue[]): SwarmError {
  const [issue] = issues
  const key = issue?.code === 'unrecognized_keys' ? issue.keys?.[0] : undefined
  const field = [...(issue?.path ?? []), ...(key === undefined ? [] : [key])]
    .map(String)
    .join('.')
    .slice(0, 200)
  if (key !== undefined) {
    return new SwarmError('INVALID', `there is no field ${field}`, { ctx: { kind: 'UnknownField', field } })
  }
  return new SwarmError('INVALID', `${field || 'this'} is wrong: ${issue?.message ?? 'unknown'}`, {
    ctx: { kind: 'InvalidValue', field },
  })
}
