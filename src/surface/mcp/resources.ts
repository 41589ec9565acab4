import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server'
import { isJsonObject, type Json, type JsonObject } from '../../contract/json.ts'
import type { McpSession } from './session.ts'

const MIME = 'application/json'
const STATUS = { uri: 'swarm://status', name: 'status', description: 'the swarm in numbers', mimeType: MIME }

const TEMPLATES = [
  { kind: 'bead', description: 'one bead: text, claim, blockers, attempts', field: 'bead_id' },
  { kind: 'run', description: 'one run', field: 'run_id' },
  { kind: 'log', description: 'what the program of a session has said and done', field: 'session_id' },
] as const

export const resources = { resources: [STATUS] }

export const resourceTemplates = {
  resourceTemplates: TEMPLATES.map(({ kind, description, field }) => ({
    uriTemplate: `swarm://${kind}/{${field}}`,
    name: kind,
    description,
    mimeType: MIME,
  })),
}

/** What stands at a URI, as JSON. One that is none, or at which there is nothing, is an error of the protocol. */
export async function readResource(session: McpSession, uri: string) {
  const found = await lookUp(session, uri)
  if (found === undefined)
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, `there is nothing at ${uri.slice(0, 200)}`, {
      uri,
    })
  return { contents: [{ uri, mimeType: MIME, text: JSON.stringify(found) }] }
}

async function lookUp(session: McpSession, uri: string): Promise<Json | undefined> {
  if (uri === STATUS.uri) return session.ask({ cmd: 'status' })
  const [, kind, coded = ''] = /^swarm:\/\/(bead|run|log)\/(.+)$/.exec(uri) ?? []
  const id = decoded(coded)
  if (kind === undefined || id === undefined) return undefined
  if (kind === 'bead') return session.ask({ cmd: 'show', bead_id: id })
  if (kind === 'log') return session.ask({ cmd: 'logs', session_id: id, limit: 200 })
  return runOf(await session.ask({ cmd: 'runs', limit: 1_000 }), id)
}

function runOf(d: Json | undefined, id: string): JsonObject | undefined {
  const runs = isJsonObject(d) && Array.isArray(d.runs) ? d.runs : []
  return runs.filter(isJsonObject).find(({ run_id }) => run_id === id)
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
