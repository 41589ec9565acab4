import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server'
import { isJsonObject, type Json, type JsonObject } from '../../contract/json.ts'
import type { McpSession } from './session.ts'
import { readUri, STATUS_URI, uriOf } from './uris.ts'

const MIME = 'application/json'
const STATUS = { uri: STATUS_URI, name: 'status', description: 'the swarm in numbers', mimeType: MIME }
/** Beads that are listed, at most. */
const MOST_LISTED = 100

const TEMPLATES = [
  { kind: 'bead', description: 'one bead: text, claim, blockers, attempts', field: 'bead_id' },
  { kind: 'run', description: 'one run', field: 'run_id' },
  { kind: 'log', description: 'what the program of a session has said and done', field: 'session_id' },
] as const

export const resourceTemplates = {
  resourceTemplates: TEMPLATES.map(({ kind, description, field }) => ({
    uriTemplate: `swarm://${kind}/{${field}}`,
    name: kind,
    description,
    mimeType: MIME,
  })),
}

/** The numbers, and the beads that somebody works on now; all others are found by their template. */
export async function listResources(session: McpSession) {
  const d = await session.ask({ cmd: 'beads', status: 'in_progress', limit: MOST_LISTED })
  const beads = isJsonObject(d) && Array.isArray(d.beads) ? d.beads : []
  const listed = beads.flatMap((bead) => {
    const uri = isJsonObject(bead) ? uriOf('bead', bead.bead_id) : undefined
    if (uri === undefined || !isJsonObject(bead)) return []
    return [{ uri, name: String(bead.bead_id), description: String(bead.title), mimeType: MIME }]
  })
  return { resources: [STATUS, ...listed] }
}

/** What stands at a URI, as JSON. One that is none, or at which there is nothing, is an error of the protocol. */
export async function readResource(session: McpSession, uri: string) {
  const found = await lookUp(session, uri)
  if (found === undefined) throw nothingAt(uri)
  return { contents: [{ uri, mimeType: MIME, text: JSON.stringify(found) }] }
}

/** Refuses a URI that can have nothing at it. */
export function checkUri(uri: string): void {
  if (uri !== STATUS.uri && !readUri(uri)) throw nothingAt(uri)
}

function nothingAt(uri: string): ProtocolError {
  const shown = uri.slice(0, 200)
  return new ProtocolError(ProtocolErrorCode.InvalidParams, `there is nothing at ${shown}`, { uri: shown })
}

async function lookUp(session: McpSession, uri: string): Promise<Json | undefined> {
  if (uri === STATUS.uri) return session.ask({ cmd: 'status' })
  const named = readUri(uri)
  if (!named) return undefined
  const { kind, id } = named
  if (kind === 'bead') return session.ask({ cmd: 'show', bead_id: id })
  if (kind === 'log') return session.ask({ cmd: 'logs', session_id: id, limit: 200 })
  return runOf(await session.ask({ cmd: 'runs', limit: 1_000 }), id)
}

function runOf(d: Json | undefined, id: string): JsonObject | undefined {
  const runs = isJsonObject(d) && Array.isArray(d.runs) ? d.runs : []
  return runs.filter(isJsonObject).find(({ run_id }) => run_id === id)
}
