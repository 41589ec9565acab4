import type { JsonObject } from '../../contract/json.ts'
import type { Principal } from '../../contract/roles.ts'
import type { Asked } from './asked.ts'
import { Refused } from './refused.ts'
import { statusOfError } from './status.ts'

/** Refuses who may not send this request: for what is no verb itself but shows what the verb would. */
export async function admit({ dispatcher, token }: Asked, request: JsonObject): Promise<Principal | null> {
  const answer = await dispatcher.mayRun(request)
  if ('principal' in answer) return answer.principal
  throw new Refused(statusOfError(answer.refusal, token !== undefined), answer.refusal)
}
