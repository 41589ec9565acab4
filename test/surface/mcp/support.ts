import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, type ClientOptions } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { afterAll } from 'vitest'
import type { Json, JsonObject } from '../../../src/contract/json.ts'
import { testDatabase } from '../../support/database.ts'
import { BIN, cleanEnv } from '../../support/swarm.ts'

/** What a tool answered: the text of its result, which is JSON. */
export interface Answer<D = Json> {
  readonly ok: boolean
  readonly d: D
  readonly err?: { readonly code: string; readonly msg: string; readonly ctx?: JsonObject }
  readonly fix?: { readonly tool: string; readonly arguments: JsonObject }
  readonly next?: { readonly tool: string; readonly arguments: JsonObject }
  readonly lines?: readonly Json[]
  readonly messages?: readonly { readonly body: string; readonly from: number }[]
  readonly broadcasts?: readonly { readonly msg: string }[]
  readonly notices?: readonly { readonly event_type: string; readonly payload?: JsonObject }[]
  readonly unread?: number
}

export interface CallOptions {
  readonly signal?: AbortSignal
  readonly timeout?: number
  readonly onprogress?: (progress: { progress: number }) => void
  readonly resetTimeoutOnProgress?: boolean
}

/** The official client with a `swarm mcp` of its own. */
export interface McpClient {
  readonly client: Client
  readonly pid: number
  readonly stderr: () => string
  /** Calls a tool and reads its text. Throws when `isError` and `ok` do not agree. */
  call<D = JsonObject>(tool: string, args?: JsonObject, options?: CallOptions): Promise<Answer<D>>
  /** The same, and throws unless it went well. */
  ok<D = JsonObject>(tool: string, args?: JsonObject, options?: CallOptions): Promise<D>
  close(): Promise<void>
}

export interface OpenOptions {
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly args?: readonly string[]
  readonly client?: ClientOptions
}

export async function openMcp({ env, cwd, args = [], client: options }: OpenOptions): Promise<McpClient> {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [BIN, 'mcp', ...args],
    env: definedOnly(cleanEnv(env)),
    cwd,
    stderr: 'pipe',
  })
  let stderr = ''
  transport.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8')
  })
  const client = new Client({ name: 'test', version: '1' }, options)
  await client.connect(transport)
  const call = async <D = JsonObject>(
    tool: string,
    given: JsonObject = {},
    callOptions: CallOptions = {},
  ): Promise<Answer<D>> => {
    const result = await client.callTool({ name: tool, arguments: { ...given } }, callOptions)
    return readResult<D>(result)
  }
  return {
    client,
    pid: transport.pid ?? 0,
    stderr: () => stderr,
    call,
    async ok<D = JsonObject>(tool: string, given?: JsonObject, callOptions?: CallOptions): Promise<D> {
      const answer = await call<D>(tool, given, callOptions)
      if (!answer.ok) throw new Error(`${tool} ${JSON.stringify(given)} answered ${JSON.stringify(answer)}`)
      return answer.d
    },
    close: () => client.close(),
  }
}

/** The answer in a result. Text alone: one item, and nothing beside it. */
export function readResult<D>(result: { content: unknown; isError?: boolean | undefined }): Answer<D> {
  const content = Array.isArray(result.content) ? result.content : []
  const [item] = content
  if (content.length !== 1 || item?.type !== 'text' || 'structuredContent' in result)
    throw new Error(`not one text: ${JSON.stringify(result).slice(0, 500)}`)
  const answer: Answer<D> = JSON.parse(item.text)
  if (answer.ok !== (result.isError !== true)) throw new Error(`ok and isError differ: ${item.text}`)
  return answer
}

function definedOnly(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

/** A database of the test file's own, and a directory outside of any root. Clients that are opened here are closed when the file is done. */
export async function mcpPlace() {
  const { url, sql } = await testDatabase()
  const scratch = mkdtempSync(join(tmpdir(), 'swarm-mcp-'))
  const clients: McpClient[] = []
  let repos = 0
  afterAll(async () => {
    for (const client of clients) await client.close()
    rmSync(scratch, { recursive: true, force: true })
  })
  return {
    url,
    sql,
    scratch,
    repo: () => `mcp-${++repos}`,
    async open(repo: string, more: Partial<OpenOptions> = {}): Promise<McpClient> {
      const client = await openMcp({
        cwd: scratch,
        ...more,
        env: { DATABASE_URL: url, SWARM_REPO: repo, ...more.env },
      })
      clients.push(client)
      return client
    },
  }
}
