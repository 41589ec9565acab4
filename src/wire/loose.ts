import type { Json } from '../contract/json.ts'
import { MAX_DEPTH } from './inspect.ts'

/** What text that is not JSON was probably meant to be. */
export interface LooseReading {
  /** The value it was meant to be; absent when that would be a guess. */
  readonly value?: Json
  /** The first place that is not JSON, in characters from 0, and what is wrong there. */
  readonly at: number
  readonly wrong: string
}

/** Thrown inside this module where reading on would be guessing. */
class Unreadable extends Error {}

const QUOTES: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  '`': '`',
  '\u201c': '\u201d',
  '\u2018': '\u2019',
}
const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }
const WORDS: Readonly<Record<string, Json>> = {
  true: true,
  false: false,
  null: null,
  True: true,
  False: false,
  None: null,
  undefined: null,
}
const STRICT_WORDS = new Set(['true', 'false', 'null'])
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])/y
const WORD = /[A-Za-z_$][\w$-]*/y
const BARE = /[^,{}[\]":#]+/y
const SPACE = /[ \t\r\n\u00a0\ufeff]+/y

/**
 * Reads text that JSON.parse refused: other quotes, bare keys, Python's words, commas too many, comments, brackets
 * left open at the end. For pointing at the mistake and for proposing the request that was meant, never for
 * running it. A string that does not end is not guessed at.
 */
export function readLoosely(text: string): LooseReading {
  let at = 0
  let first: { at: number; wrong: string } | undefined

  function note(wrong: string, place = at): void {
    if (!first || place < first.at) first = { at: place, wrong }
  }

  function fail(wrong: string, place = at): never {
    note(wrong, place)
    throw new Unreadable(wrong)
  }

  function match(pattern: RegExp): string | undefined {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }

  function skip(): void {
    for (;;) {
      const blank = match(SPACE)
      if (blank !== undefined) continue
      const comment = match(/\/\/.*|#.*|\/\*.*?\*\//y)
      if (comment === undefined) return
      note('a comment', at - comment.length)
    }
  }

  function string(): string {
    const open = text[at] ?? ''
    const close = QUOTES[open] ?? open
    const start = at
    if (open !== '"') note('a string needs double quotes')
    at += 1
    let value = ''
    for (;;) {
      const char = text[at]
      if (char === undefined) fail('a string that does not end', start)
      at += 1
      if (char === close) return value
      if (char < ' ') note('a control character inside a string', at - 1)
      value += char === '\\' ? escaped() : char
    }
  }

  function escaped(): string {
    const char = text[at] ?? ''
    at += 1
    if (char === 'u') {
      const code = match(/[0-9a-fA-F]{4}/y)
      return code === undefined
        ? fail('\\u needs four hex digits')
        : String.fromCharCode(Number.parseInt(code, 16))
    }
    if (!'"\\/bfnrt'.includes(char)) note(`\\${char} is no escape`, at - 2)
    return ESCAPES[char] ?? char
  }

  function key(): string {
    if (QUOTES[text[at] ?? '']) return string()
    const start = at
    const word = match(WORD)
    if (word === undefined) return fail('a key in double quotes is missing')
    note('a key needs double quotes', start)
    return word
  }

  function list<T>(close: string, item: () => T): T[] {
    const items: T[] = []
    at += 1
    for (;;) {
      skip()
      if (text[at] === undefined) {
        note(`${close} is missing`)
        return items
      }
      if (text[at] === close) {
        at += 1
        return items
      }
      items.push(item())
      skip()
      const comma = at
      if (text[at] === ',') {
        at += 1
        skip()
        if (text[at] === close || text[at] === undefined) note('a comma too many', comma)
      } else if (text[at] !== close && text[at] !== undefined) {
        fail(`, or ${close} is missing`)
      }
    }
  }

  function value(depth: number): Json {
    skip()
    if (depth > MAX_DEPTH) fail('nested too deep')
    const char = text[at] ?? ''
    if (char === '[') return list(']', () => value(depth + 1))
    if (char === '{') return Object.fromEntries(list('}', () => entry(depth + 1)))
    if (QUOTES[char]) return string()
    const start = at
    const number = match(NUMBER)
    if (number !== undefined) return Number(number)
    // inside a list or an object, text that a shell has taken the quotes off
    const word = match(depth > 1 ? BARE : WORD)?.trim()
    if (!word) return fail(char === '' ? 'a value is missing' : 'no value starts like this')
    if (!STRICT_WORDS.has(word)) note('text needs double quotes', start)
    if (Object.hasOwn(WORDS, word)) return WORDS[word] ?? null
    return depth > 1 ? word : fail('text needs double quotes', start)
  }

  function entry(depth: number): [string, Json] {
    const name = key()
    skip()
    if (text[at] === '=') note('= instead of :')
    else if (text[at] !== ':') fail(': is missing')
    at += 1
    return [name, value(depth)]
  }

  try {
    const found = value(1)
    skip()
    match(/[;,]/y)
    skip()
    if (at < text.length) fail('something follows the request')
    return { value: found, ...(first ?? { at: text.length, wrong: 'the end' }) }
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    return first ?? { at, wrong: 'not JSON' }
  }
}
