import type { Rid } from '../contract/envelope.ts'
import { type FixRequest, SwarmError, type SwarmErrorOptions } from '../contract/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'
import { sendable } from './fix.ts'
import { inspect } from './inspect.ts'
import { changedInteger } from './integers.ts'
import type { Line } from './lines.ts'
import { readLoosely } from './loose.ts'

/** A line as a request, or the refusal of it. `rid` is there whenever it could be read. */
export type Decoded =
  | { readonly rid: Rid | undefined; readonly request: JsonObject; readonly error?: undefined }
  | { readonly rid: Rid | undefined; readonly error: SwarmError }

const A_REQUEST = 'one JSON object per line, like {"cmd":"describe"}'
const DESCRIBE: FixRequest = { cmd: 'describe' }
const MAX_RID = 256

/** Turns a line into a request that any verb may look at. Verbs and their fields are not known here. */
export function decodeLine(line: Line): Decoded {
  if ('problem' in line) return { rid: undefined, error: unreadable(line) }
  const { text, number } = line
  let value: Json
  try {
    // safe: JSON.parse without a reviver returns JSON
    value = JSON.parse(text) as Json
  } catch {
    return notJson(text, number)
  }
  const decoded = decodeValue(value, number)
  const error = decoded.error ? undefined : changedInteger(text, value)
  return error ? { rid: decoded.rid, error } : decoded
}

/** Refuses what is not an object, and objects that hold what swarm cannot keep. */
export function decodeValue(value: Json, line?: number): Decoded {
  if (!isJsonObject(value)) return { rid: undefined, error: notAnObject(value, line) }
  const rid = ridOf(value)
  const error = inspect(value)
  return error ? { rid, error } : { rid, request: value }
}

/** The rid of a request when it is one that can be echoed. */
export function ridOf(request: JsonObject): Rid | undefined {
  const { rid } = request
  if (typeof rid === 'string') return rid.length <= MAX_RID ? rid : undefined
  return typeof rid === 'number' && Number.isSafeInteger(rid) ? rid : undefined
}

/** The refusal of a session in which nothing was asked. */
export function emptyInput(): SwarmError {
  return new SwarmError('INVALID', 'stdin was empty: nothing was asked', {
    ctx: { kind: 'MissingField', field: 'line', expected: A_REQUEST, got: 'nothing' },
    fix: DESCRIBE,
  })
}

function unreadable(line: Extract<Line, { problem: unknown }>): SwarmError {
  const { problem, number, bytes } = line
  if (problem.kind === 'too-long') {
    return new SwarmError('INVALID', `line ${number} is too long`, {
      ctx: at(number, 'InvalidValue', `at most ${problem.limit} bytes`, `${bytes} bytes`),
    })
  }
  return new SwarmError('INVALID', `line ${number} is not UTF-8 at byte ${problem.at + 1}`, {
    ctx: at(number, 'InvalidValue', 'UTF-8 text', 'other bytes'),
  })
}

/* The parser's own message quotes the text around the mistake, and that may be a password. */
function notJson(text: string, number: number): Decoded {
  const escaped = text.includes('\0') ? parsed(text.replaceAll('\0', '\\u0000')) : undefined
  if (escaped !== undefined) return decodeValue(escaped, number)
  const { value, at: place, wrong } = readLoosely(text)
  const error = new SwarmError('INVALID', `line ${number} is not JSON at character ${place + 1}: ${wrong}`, {
    ctx: at(number, 'InvalidType', A_REQUEST, 'text that is not JSON'),
    // one in which a number would be changed was not meant
    ...(value === undefined ? bareVerb(text) : changedInteger(text, value) ? {} : meant(value)),
  })
  return { rid: undefined, error }
}

function parsed(text: string): Json | undefined {
  try {
    // safe: as in decodeLine
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

function notAnObject(value: Json, number: number | undefined): SwarmError {
  const got = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
  const where = number === undefined ? 'the request' : `line ${number}`
  return new SwarmError(
    'INVALID',
    `${where} is ${got === 'null' ? got : `${article(got)} ${got}`}, not an object`,
    {
      ctx: { ...at(number, 'InvalidType', 'object', got) },
      ...(typeof value === 'string' ? quoted(value) : meant(value)),
    },
  )
}

/** The request that a value stands for: itself, or a batch of its items. */
function meant(value: Json): Pick<SwarmErrorOptions, 'fix' | 'needs'> {
  if (isJsonObject(value)) return inspect(value) ? {} : sendable(value)
  if (typeof value !== 'object' || value === null || value.length === 0) return { fix: DESCRIBE }
  const ops = value.filter(isRequest)
  const batch = { cmd: 'batch', ops }
  const secret = ops.some((op) => op.database_url !== undefined)
  return ops.length === value.length && !secret && !inspect(batch) ? { fix: batch } : { fix: DESCRIBE }
}

function isRequest(value: Json): value is FixRequest {
  return isJsonObject(value) && typeof value.cmd === 'string'
}

/** A request that was encoded twice, or a bare verb in quotes. */
function quoted(text: string): Pick<SwarmErrorOptions, 'fix' | 'needs'> {
  const inner = parsed(text)
  return inner !== undefined && isJsonObject(inner) ? meant(inner) : bareVerb(text)
}

function bareVerb(text: string): Pick<SwarmErrorOptions, 'fix'> {
  const word = text.trim()
  return { fix: /^[a-z][a-z-]{1,30}$/.test(word) ? { cmd: word } : DESCRIBE }
}

function article(word: string): string {
  return /^[aeiou]/.test(word) ? 'an' : 'a'
}

function at(number: number | undefined, kind: string, expected: string, got: string): JsonObject {
  return { kind, field: 'line', expected, got, ...(number === undefined ? {} : { line: number }) }
}
