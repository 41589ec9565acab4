import { SwarmError } from '../contract/errors.ts'
import { isJsonObject, type Json } from '../contract/json.ts'

/** Strings are matched so that they are passed over; an integer of 16 digits or more is what is looked for. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g

/**
 * The refusal of JSON text in which an integer is too large to be kept as it is: numbers are doubles here, and beyond 2^53 they
 * would silently become a neighbour. `value` is what JSON.parse made of the text. Texts without long runs of digits cost one look.
 */
export function changedInteger(text: string, value: Json): SwarmError | undefined {
  if (!/\d{16}/.test(text)) return undefined
  const changed = new Set<number>()
  for (const [token] of text.matchAll(TOKENS)) {
    if (!token.startsWith('"') && isChanged(token)) changed.add(Number(token))
  }
  const path = changed.size > 0 ? pathOf(value, changed) : undefined
  if (path === undefined) return undefined
  const field = path.replace(/^\./, '').slice(0, 200)
  return new SwarmError(
    'INVALID',
    `${field} is an integer beyond 2^53, which would be changed; write it as text`,
    {
      ctx: {
        kind: 'InvalidValue',
        field,
        expected: `an integer of at most ${Number.MAX_SAFE_INTEGER}, or text`,
        got: 'a larger integer',
      },
    },
  )
}

function isChanged(token: string): boolean {
  const number = Number(token)
  return !Number.isSafeInteger(number) && JSON.stringify(number) !== token
}

/** Where one of the numbers stands: `.payload.ids[0]`. */
function pathOf(value: Json | undefined, numbers: ReadonlySet<number>): string | undefined {
  if (typeof value === 'number') return numbers.has(value) ? '' : undefined
  if (typeof value !== 'object' || value === null) return undefined
  if (!isJsonObject(value)) {
    for (const [at, item] of value.entries()) {
      const path = pathOf(item, numbers)
      if (path !== undefined) return `[${at}]${path}`
    }
    return undefined
  }
  for (const [key, item] of Object.entries(value)) {
    const path = pathOf(item, numbers)
    if (path !== undefined) return `.${JSON.stringify(key).slice(1, -1).slice(0, 100)}${path}`
  }
  return undefined
}
