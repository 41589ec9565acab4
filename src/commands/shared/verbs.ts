import type { AnyCommand } from '../../contract/command.ts'
import type { JsonObject } from '../../contract/json.ts'
import { loaders, verbs } from '../registry.ts'

/** Loads the command that a request names; a missing or unknown verb is INVALID with the repaired request as fix. */
export async function loadCommand(raw: JsonObject): Promise<AnyCommand> {
  const { cmd } = raw
  const load = typeof cmd === 'string' && Object.hasOwn(loaders, cmd) ? loaders[cmd] : undefined
  if (load) return load()
  const { unknownVerb } = await import('../../contract/unknown-verb.ts')
  throw await unknownVerb(raw, verbs, (verb) => loaders[verb]?.())
}
