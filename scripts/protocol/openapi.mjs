/** The routes of `swarm serve` as OpenAPI 3.1, made of the same table that the server is made of and of the verbs' schemas. */
import { commandSchema, envelopeSchema, errorsOf } from './schemas.mjs'

/** Fields that a network does not take, that the route says, or that only an envelope answers. */
const LEFT_OUT = ['cmd', 'rid', 'state', 'database_url', 'connect_timeout_ms']
/** What every route may answer besides the codes of its verb. */
const OTHER_STATUSES = {
  400: 'INVALID',
  401: 'UNAUTHORIZED',
  403: 'UNAUTHORIZED',
  423: 'BUSY',
  429: 'BUSY',
  500: 'INTERNAL',
}
/** And every one with a body: a key may have been used for something else. */
const WITH_BODY = { 408: 'TIMEOUT', 409: 'CONFLICT', 413: 'INVALID', 415: 'INVALID' }

export function openApi(contract) {
  const { commands, ROUTES, VERSION } = contract
  const schemas = { Envelope: placed('Envelope', envelopeSchema(contract)).schema }
  schemas.Error = { description: 'An error, as an envelope', ...schemas.Envelope.anyOf[1] }
  const byName = new Map()
  for (const command of commands) {
    const { request, d } = commandSchema(contract, command)
    const name = pascal(command.name)
    const put = (key, value) => {
      const { schema, defs } = placed(key, value)
      schemas[key] = schema
      Object.assign(schemas, defs)
      return schema
    }
    const whole = put(`${name}Request`, request)
    byName.set(command.name, { command, request: whole, d: put(name, d), name })
  }
  const paths = { ...fixedPaths(commands) }
  for (const route of ROUTES) {
    const path = route.path.replace(/:(\w+)/g, '{$1}')
    paths[path] ??= {}
    paths[path][route.method.toLowerCase()] = operation(contract, route, byName.get(route.verb))
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'swarm',
      version: VERSION,
      description: 'Every route is a verb; docs/HTTP.md tells the rest, streams and sockets too.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{}, { bearer: [] }, { login: [] }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        login: {
          type: 'apiKey',
          in: 'cookie',
          name: 'swarm_3333',
          description: 'the port is part of the name',
        },
      },
    },
  }
}

function operation(contract, route, { command, request, d, name }) {
  const path = [...route.path.matchAll(/:(\w+)/g)].map(([, word]) => word)
  const said = [...LEFT_OUT, ...path, ...(path.includes('iteration_id') ? ['session_id', 'iteration'] : [])]
  const fields = Object.entries(request.properties).filter(([field]) => !said.includes(field))
  const other = Object.fromEntries(Object.entries(route.names ?? {}).map(([alias, field]) => [field, alias]))
  const named = fields.map(([field, schema]) => [other[field] ?? field, schema, field])
  const required = (request.required ?? []).filter((field) => !said.includes(field))
  const parameters = path.map((word) => ({
    name: word,
    in: 'path',
    required: true,
    schema: request.properties[word] ?? { type: 'string', description: '<session_id>:<iteration>' },
  }))
  const body = route.method === 'GET' ? undefined : bodySchema(route, Object.fromEntries(named), required)
  if (!body) {
    for (const [word, schema, field] of named) {
      const isGiven = route.given && Object.hasOwn(route.given, field)
      parameters.push({
        name: word,
        in: 'query',
        ...(required.includes(field) && !isGiven ? { required: true } : {}),
        schema,
      })
    }
  } else if (command.effect !== 'read') {
    parameters.push({ name: 'Idempotency-Key', in: 'header', schema: request.properties.idem })
  }
  const tag = route.path.split('/')[2]
  return {
    operationId: `${route.method.toLowerCase()}${pascal(route.path.replace(/^\/api/, '').replace(/[/:]+/g, '-'))}`,
    summary: command.summary,
    tags: [tag],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: { content: { 'application/json': { schema: body } } } } : {}),
    responses: {
      [route.status ?? 200]: answer('done', answerSchema(route.body ?? { kind: 'same' }, d, name)),
      ...errorAnswers(contract, command, route.body?.kind === 'one' ? ['NOTFOUND'] : []),
    },
  }
}

function bodySchema({ wrap }, properties, required) {
  const whole = {
    type: 'object',
    properties,
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  }
  if (!wrap) return whole
  const list = Object.entries(properties).find(([, { items }]) => items?.properties)
  if (!list) return whole
  const { [list[0]]: _many, ...common } = properties
  const { items } = list[1]
  return { anyOf: [whole, { ...items, properties: { ...items.properties, ...common } }] }
}

function answerSchema(body, d, name) {
  if (body.kind === 'one') {
    const row = d.properties[body.list].items
    return object({ [body.name]: row }, [body.name])
  }
  if (body.kind === 'content') {
    const { [body.list]: _list, ...rest } = d.properties
    return object({ content: { type: 'string' }, ...rest }, ['content'])
  }
  if (!body.names && !body.adds) return { $ref: `#/components/schemas/${name}` }
  const names = body.names ?? {}
  const of = (field) => names[field] ?? field
  const properties = Object.fromEntries(
    Object.entries(d.properties ?? {}).map(([field, one]) => [of(field), one]),
  )
  const adds = Object.fromEntries(
    Object.entries(body.adds ?? {}).map(([field, value]) => [field, { const: value }]),
  )
  return object({ ...properties, ...adds }, [...(d.required ?? []).map(of), ...Object.keys(adds)])
}

function errorAnswers({ ERRORS, STATUS }, command, more) {
  const others = { ...OTHER_STATUSES, ...(command.effect === 'read' ? {} : WITH_BODY) }
  const statuses = new Map(Object.entries(others).map(([status, code]) => [status, [code]]))
  for (const code of [...errorsOf(ERRORS, command), ...more]) {
    const known = statuses.get(String(STATUS[code])) ?? []
    statuses.set(String(STATUS[code]), [...new Set([...known, code])])
  }
  return Object.fromEntries(
    [...statuses].map(([status, codes]) => [
      status,
      answer(codes.join(', '), { $ref: '#/components/schemas/Error' }),
    ]),
  )
}

function fixedPaths(commands) {
  const done = object({ ok: { const: true } }, ['ok'])
  const error = answer('an error', { $ref: '#/components/schemas/Error' })
  const get = (operationId, summary, schema) => ({
    get: { operationId, summary, responses: { 200: answer('done', schema), default: error } },
  })
  const envelope = { $ref: '#/components/schemas/Envelope' }
  const requests = {
    anyOf: commands.map(({ name }) => ({ $ref: `#/components/schemas/${pascal(name)}Request` })),
  }
  const lines = { schema: { type: 'string', description: 'a request, or an envelope, a line' } }
  return {
    '/healthz': get('health', 'whether the process lives', done),
    '/readyz': get('ready', 'whether the database answers', done),
    '/api/whoami': get('whoami', 'whom the token of this request stands for', { type: 'object' }),
    '/login': {
      post: {
        operationId: 'login',
        summary: 'make a token a cookie',
        requestBody: {
          content: { 'application/json': { schema: object({ token: { type: 'string' } }, ['token']) } },
        },
        responses: { 200: answer('done', { type: 'object' }), default: error },
      },
    },
    '/logout': {
      post: {
        operationId: 'logout',
        summary: 'take the cookie away',
        responses: { 200: answer('done', { type: 'object' }) },
      },
    },
    '/api/rpc': {
      post: {
        operationId: 'rpc',
        summary: 'any verb: one request, or lines',
        requestBody: {
          required: true,
          content: { 'application/json': { schema: requests }, 'application/x-ndjson': lines },
        },
        responses: {
          200: {
            description: 'done',
            content: { 'application/json': { schema: envelope }, 'application/x-ndjson': lines },
          },
          default: error,
        },
      },
    },
    '/internal/ticket-event': {
      post: {
        operationId: 'ticketEvent',
        summary: 'what an engine reports of a ticket',
        requestBody: {
          required: true,
          content: {
            'application/json': {
              schema: {
                type: 'object',
                properties: {
                  ticketId: { type: 'string' },
                  event: { enum: ['state_change', 'progress', 'pr_created', 'activity'] },
                },
                required: ['ticketId', 'event'],
              },
            },
          },
        },
        responses: {
          200: answer(
            'done',
            object({ success: { const: true }, event: { type: 'string' } }, ['success', 'event']),
          ),
          default: error,
        },
      },
    },
  }
}

/** A schema for a place in the document: what it defines itself becomes a schema of the document. */
function placed(name, { $schema: _schema, $defs = {}, ...schema }) {
  const moved = (value) =>
    JSON.parse(JSON.stringify(value), (key, inner) => {
      if (key !== '$ref' || typeof inner !== 'string') return inner
      if (inner === '#') return `#/components/schemas/${name}`
      return inner.replace(/^#\/\$defs\//, `#/components/schemas/${name}.`)
    })
  const defs = Object.fromEntries(
    Object.entries($defs).map(([key, value]) => [`${name}.${key}`, moved(value)]),
  )
  return { schema: moved(schema), defs }
}

function answer(description, schema) {
  return { description, content: { 'application/json': { schema } } }
}

function object(properties, required) {
  return { type: 'object', properties, required }
}

function pascal(name) {
  return name.replace(/(?:^|[-_])(\w)/g, (_, letter) => letter.toUpperCase())
}
