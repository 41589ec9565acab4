import type { Tool } from '@modelcontextprotocol/server'
import { type AnyCommand, type Catalog, loadVerb } from '../../contract/command.ts'
import type { FixRequest } from '../../contract/errors.ts'
import { describeFields } from '../../contract/introspect.ts'
import { isJsonObject, type JsonObject } from '../../contract/json.ts'
import { inputSchema } from './schema.ts'

/** The tool through which every verb can be sent that is no tool of its own. */
export const CALL = 'swarm_call'

/** Verbs besides the loop's that are tools. */
const BESIDES = ['ask']

/** A request as a client makes it. */
export interface ToolCall {
  readonly tool: string
  readonly arguments: JsonObject
}

/** The verbs that are tools of their own: the agent's loop, and the question to a person. */
function toolVerbs({ verbs }: Catalog): readonly string[] {
  return verbs.filter(({ name, group }) => group === 'loop' || BESIDES.includes(name)).map(({ name }) => name)
}

/** What `tools/list` answers. `known` are fields that are filled in when a call leaves them out: the agent that this client is. */
export async function listTools(catalog: Catalog, known: ReadonlySet<string>): Promise<Tool[]> {
  const commands = await Promise.all(toolVerbs(catalog).map((name) => loadVerb(catalog, name)))
  return [...commands.flatMap((command) => (command ? [toolOf(command, known)] : [])), anyVerb()]
}

function toolOf(command: AnyCommand, known: ReadonlySet<string>): Tool {
  const { name, summary, input, effect, group } = command
  return {
    name,
    description: summary,
    inputSchema: { ...inputSchema(describeFields(input), known), type: 'object' },
    annotations: effect === 'read' ? { readOnlyHint: true } : { readOnlyHint: false, destructiveHint: false },
    // clients that load tools on demand have the loop at hand from the start
    ...(group === 'loop' ? { _meta: { 'anthropic/alwaysLoad': true } } : {}),
  }
}

function anyVerb(): Tool {
  return {
    name: CALL,
    description:
      'any other verb, with its fields beside cmd or in args: {"cmd":"describe"} lists all, {"cmd":"describe","verb":"beads"} tells one in full',
    inputSchema: {
      type: 'object',
      properties: {
        cmd: { type: 'string', description: 'the verb' },
        args: { type: 'object', description: 'its fields' },
      },
      required: ['cmd'],
    },
    annotations: { readOnlyHint: false, destructiveHint: true },
  }
}

/** The request that a call stands for. A verb that is no listed tool may be called by its name all the same. */
export function requestOf(tool: string, args: JsonObject): JsonObject {
  if (tool !== CALL) return { ...args, cmd: tool }
  const { args: inner, ...outer } = args
  return inner !== undefined && isJsonObject(inner) ? { ...inner, ...outer } : args
}

/** The call that stands for a request: what `fix` and `next` say here. */
export function toCall(catalog: Catalog, { rid: _, ...request }: FixRequest): ToolCall {
  const { cmd, ...fields } = request
  return toolVerbs(catalog).includes(cmd)
    ? { tool: cmd, arguments: fields }
    : { tool: CALL, arguments: { cmd, ...fields } }
}

/** The same as text, for requests that are quoted inside an answer. */
export function renderCall(catalog: Catalog): (request: FixRequest) => string {
  return (request) => {
    const { tool, arguments: args } = toCall(catalog, request)
    return `${tool} ${JSON.stringify(args)}`
  }
}
