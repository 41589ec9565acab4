import { type AnyCommand, type Catalog, loadVerb } from '../contract/command.ts'
import type { JsonObject } from '../contract/json.ts'

/** Loads the command that a request names; a missing or unknown verb is INVALID with the repaired request as fix. */
export async function loadCommand(catalog: Catalog, raw: JsonObject): Promise<AnyCommand> {
  const { cmd } = raw
  const found = typeof cmd === 'string' ? loadVerb(catalog, cmd) : undefined
  if (found) return found
  const { unknownVerb } = await import('../repair/unknown-verb.ts')
  throw await unknownVerb(raw, catalog.verbs, (verb) => loadVerb(catalog, verb))
}
