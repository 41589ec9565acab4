import type { Shape } from '../../contract/introspect.ts'
import { isJsonObject, type Json } from '../../contract/json.ts'
import { changedInteger } from '../../wire/integers.ts'
import { readLoosely } from '../../wire/loose.ts'

/** Text of a flag that should have been JSON. `meant` is what it was probably meant to be. */
export class NotJson extends Error {
  override readonly name = 'NotJson'
  readonly text: string
  readonly meant: Json | undefined

  constructor(text: string) {
    const { at, wrong, value } = readLoosely(text)
    super(`not JSON at character ${at + 1}: ${wrong}`)
    this.text = text
    this.meant = value
  }
}

/**
 * The value that the texts of a flag stand for. What cannot be read as the field's type stays text: the contract refuses it,
 * and says what it wants. Throws NotJson where only JSON can be meant.
 */
export function readFlag(shape: Shape, texts: readonly string[]): Json {
  if (shape.type === 'array')
    return texts.flatMap((text) => readItems(shape.items ?? { type: 'union' }, text))
  const values = texts.map((text) => readOne(shape, text))
  // a union may be one or many (`to`); of any other field the last one counts
  if (shape.type === 'union' && values.length > 1 && takesList(shape)) return values
  return values.at(-1) ?? null
}

/** Items can be given one by one or, as JSON, all at once. */
function readItems(items: Shape, text: string): Json[] {
  const list = text.trimStart().startsWith('[') && items.type !== 'array' ? parse(text) : undefined
  return isList(list) ? [...list] : [readOne(items, text)]
}

function readOne(shape: Shape, text: string): Json {
  switch (shape.type) {
    case 'string':
    case 'enum':
      return text
    case 'integer':
    case 'number':
      return NUMBER.test(text) ? Number(text) : text
    case 'boolean':
      return readBoolean(text)
    case 'union':
      return readUnion(shape, text)
    case 'object':
    case 'array':
      return parseOrThrow(text)
  }
}

/** Text that looks like a number, or like a list, an object or a string of JSON, is one where that is allowed. */
function readUnion(shape: Shape, text: string): Json {
  const takes = (...types: readonly Shape['type'][]) => takesOneOf(shape, types)
  if (takes('integer', 'number') && NUMBER.test(text) && String(Number(text)) === text) return Number(text)
  if (takes('boolean') && (text === 'true' || text === 'false')) return text === 'true'
  if (!LOOKS_LIKE_JSON.test(text)) return text
  return parse(text) ?? text
}

/** Text that a number field, or a union with numbers, reads as a number. */
export const NUMBER = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/
/** How text begins that a union reads as JSON. */
export const LOOKS_LIKE_JSON = /^\s*["[{]/

function readBoolean(text: string): Json {
  return text === 'true' || (text === 'false' ? false : text)
}

function takesList(shape: Shape): boolean {
  return takesOneOf(shape, ['array'])
}

/** A union may hold unions. */
function takesOneOf({ variants }: Shape, types: readonly Shape['type'][]): boolean {
  return (
    !variants ||
    variants.some((variant) =>
      variant.type === 'union' ? takesOneOf(variant, types) : types.includes(variant.type),
    )
  )
}

/** The value of JSON text, undefined when it is none; throws where an integer would be changed. */
function parse(text: string): Json | undefined {
  let value: Json
  try {
    // safe: JSON.parse without a reviver returns JSON
    value = JSON.parse(text) as Json
  } catch {
    return undefined
  }
  const error = changedInteger(text, value)
  if (error) throw error
  return value
}

/** Parses the text of an object or a list; throws NotJson. */
export function parseOrThrow(text: string): Json {
  const value = parse(text)
  if (value === undefined) throw new NotJson(text)
  return value
}

function isList(value: Json | undefined): value is readonly Json[] {
  return typeof value === 'object' && value !== null && !isJsonObject(value)
}
