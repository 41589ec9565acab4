import { dirname, join } from 'node:path'

/** One import of a source file. */
export interface Import {
  /** Path of the importing file, from src. */
  readonly from: string
  readonly specifier: string
  readonly kind: 'static' | 'type' | 'dynamic'
}

/* The formatter keeps imports at the start of a line and their quotes single, so they can be read without a parser. */
const STATIC = /^(?:import|export)\s+(type\s)?[^'"`;]*?\bfrom\s+'([^']+)'/gm
const BARE = /^import\s+'([^']+)'/gm
const DYNAMIC = /\b(?:import|require|require\.resolve)\(\s*'([^']+)'/g

/** Everything a file imports, types too: a part must not even know the names of another that it may not use. */
export function importsOf(from: string, text: string): readonly Import[] {
  return [
    ...[...text.matchAll(STATIC)].map(([, type, specifier = '']) => ({
      from,
      specifier,
      kind: type === undefined ? ('static' as const) : ('type' as const),
    })),
    ...[...text.matchAll(BARE)].map(([, specifier = '']) => ({ from, specifier, kind: 'static' as const })),
    ...[...text.matchAll(DYNAMIC)].map(([, specifier = '']) => ({
      from,
      specifier,
      kind: 'dynamic' as const,
    })),
  ]
}

/** The file that a relative import means; undefined for a library or a built-in. */
export function resolveImport(src: string, { from, specifier }: Import): string | undefined {
  return specifier.startsWith('.') ? join(src, dirname(from), specifier) : undefined
}
