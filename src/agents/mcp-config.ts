import type { JsonObject } from '../contract/json.ts'
import type { McpServer } from './adapter.ts'

/** The servers as most programs want them: by name, in a JSON file. */
export function mcpServersJson(servers: readonly McpServer[]): JsonObject {
  return Object.fromEntries(
    servers.map(({ name, command, args, env }) => [name, { type: 'stdio', command, args: [...args], env }]),
  )
}
