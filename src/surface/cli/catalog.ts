import type { AnyCommand } from '../../contract/command.ts'

/** What is known of a verb before it is loaded. */
export interface Verb {
  readonly name: string
  readonly summary: string
  readonly group: string
  readonly aliases: readonly string[]
}

/** The verbs there are, and how each is loaded. */
export interface Catalog {
  readonly verbs: readonly Verb[]
  readonly loaders: Readonly<Record<string, () => Promise<AnyCommand>>>
}

/** Loads a verb by its name or by another name of it. */
export async function loadVerb({ verbs, loaders }: Catalog, word: string): Promise<AnyCommand | undefined> {
  const name = verbs.find((verb) => verb.name === word || verb.aliases.includes(word))?.name
  return name !== undefined && Object.hasOwn(loaders, name) ? loaders[name]?.() : undefined
}
