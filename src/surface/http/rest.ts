import { type AnyCommand, loadVerb } from '../../contract/command.ts'
import { commonFields, writeFields } from '../../contract/common.ts'
import { SwarmError } from '../../contract/errors.ts'
import { describeFields, type Shape } from '../../contract/introspect.ts'
import { isJsonObject, type Json, type JsonObject } from '../../contract/json.ts'
import { NotJson, readFlag } from '../cli/values.ts'
import { answerError, answerJson, answerReply } from './answer.ts'
import { type Ctx, goneSignal } from './asked.ts'
import { bodyOf } from './json-body.ts'
import { sent } from './parts.ts'
import { perform } from './perform.ts'
import type { Body, Route } from './routes.ts'

/** Answers a route of REST: its path, query and body are the fields of its verb; the answer is `d`, errors are envelopes. */
export async function answerRest(c: Ctx, route: Route, maxBytes: number): Promise<Response> {
  const { incoming, outgoing } = c.env
  const { dispatcher } = c.get('asked')
  const command = await loadVerb(c.get('asked').catalog, route.verb)
  if (!command) throw new Error(`the route ${route.path} names no verb`)
  const body = route.method === 'GET' ? {} : await bodyOf(incoming, maxBytes)
  if (!body) return sent()
  const fields = fieldsOf(c, route, command, body)
  const request = { ...route.given, ...wrapped(route, fields), cmd: command.name }
  const reply = await perform(dispatcher, request, { gone: () => goneSignal(outgoing) })
  if (!reply.ok) return answerReply(c, reply)
  const answer = shaped(reply.d, route.body ?? { kind: 'same' }, fields)
  if (answer instanceof SwarmError) return answerError(c, answer)
  return answerJson(c, route.status ?? 200, answer, reply.replayed ? { 'idempotency-replayed': 'true' } : {})
}

/** A field that stands in two places must say the same in both. */
function fieldsOf(c: Ctx, route: Route, command: AnyCommand, body: JsonObject): JsonObject {
  const fields: Record<string, Json | undefined> = {}
  const nameOf = (name: string) =>
    route.names && Object.hasOwn(route.names, name) ? (route.names[name] ?? name) : name
  const put = (name: string, value: Json | undefined) => {
    if (value === undefined) return
    const known = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(value)) throw twice(name, known)
    Object.defineProperty(fields, name, { value, enumerable: true, configurable: true, writable: true })
  }
  const shapes = shapesOf(command)
  for (const [name, text] of Object.entries(c.req.param())) {
    if (name === 'iteration_id') {
      const at = text.lastIndexOf(':')
      put('session_id', text.slice(0, Math.max(at, 0)))
      put('iteration', typed(shapes, 'iteration', [text.slice(at + 1)]))
    } else put(name, typed(shapes, name, [text]))
  }
  for (const [name, texts] of Object.entries(c.req.queries()))
    put(nameOf(name), typed(shapes, nameOf(name), texts))
  for (const [name, value] of Object.entries(body)) put(nameOf(name), value)
  if (command.effect !== 'read') put('idem', c.req.header('idempotency-key'))
  if (Object.hasOwn(fields, 'cmd')) throw foreignVerb()
  return fields
}

/** Common fields stay beside the list that the others go into. */
function wrapped({ wrap }: Route, fields: JsonObject): JsonObject {
  if (wrap === undefined || fields[wrap] !== undefined) return fields
  const common: Record<string, Json | undefined> = {}
  const own: Record<string, Json | undefined> = {}
  for (const [name, value] of Object.entries(fields)) {
    const isCommon = Object.hasOwn(commonFields.shape, name) || Object.hasOwn(writeFields.shape, name)
    Object.defineProperty(isCommon ? common : own, name, { value, enumerable: true })
  }
  return { ...common, [wrap]: [own] }
}

const known = new WeakMap<AnyCommand, ReadonlyMap<string, Shape>>()

function shapesOf(command: AnyCommand): ReadonlyMap<string, Shape> {
  const found = known.get(command)
  if (found) return found
  const own = [command.input, commonFields, writeFields].flatMap((schema) => describeFields(schema))
  const shapes = new Map(own.map((field): [string, Shape] => [field.name, field]))
  for (const [alias, name] of Object.entries(command.fieldAliases ?? {})) {
    const shape = shapes.get(name)
    if (shape) shapes.set(alias, shape)
  }
  known.set(command, shapes)
  return shapes
}

/** Text as the field's type reads it; what cannot be read stays text, and the verb says what it wants. */
function typed(shapes: ReadonlyMap<string, Shape>, name: string, texts: readonly string[]): Json {
  const shape = shapes.get(name)
  if (!shape) return texts.at(-1) ?? ''
  try {
    return readFlag(shape, texts)
  } catch (error) {
    if (error instanceof NotJson) return texts.at(-1) ?? ''
    throw error
  }
}

function shaped(d: Json, body: Body, fields: JsonObject): Json | SwarmError {
  if (!isJsonObject(d)) return d
  if (body.kind === 'one') {
    const rows = d[body.list]
    const row = Array.isArray(rows) ? rows[0] : undefined
    if (row !== undefined) return { [body.name]: row }
    const got = fields[body.of] ?? null
    return new SwarmError('NOTFOUND', `there is no ${body.name} ${String(got)}`, {
      ctx: { field: body.of, got },
    })
  }
  if (body.kind === 'content') {
    const { [body.list]: rows, ...rest } = d
    const texts = Array.isArray(rows)
      ? rows.map((row: Json) => (isJsonObject(row) ? String(row.text) : ''))
      : []
    return { content: texts.join(''), ...rest }
  }
  const names = body.names ?? {}
  const entries = Object.entries(d).map(([name, value]) => [
    Object.hasOwn(names, name) ? names[name] : name,
    value,
  ])
  return { ...Object.fromEntries(entries), ...body.adds }
}

function twice(name: string, value: Json): SwarmError {
  return new SwarmError('INVALID', `${name} is given twice, and differs`, {
    ctx: {
      kind: 'InvalidValue',
      field: name,
      expected: JSON.stringify(value).slice(0, 200),
      got: 'another value',
    },
  })
}

function foreignVerb(): SwarmError {
  return new SwarmError('INVALID', 'cmd is said by the path; POST /api/rpc takes any verb', {
    ctx: { kind: 'UnknownField', field: 'cmd' },
  })
}
