import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import * as z from 'zod'
import { agentPrompt } from '../agents/prompt.ts'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { role, text } from '../contract/fields.ts'
import { writeNewFile } from '../root/new-file.ts'
import { namedRepo } from '../runtime/caller.ts'

const prompt = z.object({
  agent_id: z.int(),
  role: z.string().optional(),
  prompt: z.string().optional(),
  file: z.string().optional().describe('with out_dir, instead of the text'),
})
type Prompt = z.output<typeof prompt>

export default defineCommand({
  name: 'spawn-prompts',
  group: 'compat',
  summary: 'prompts for agents 1 to count, inline or as files; registers nothing',
  input: z.strictObject({
    count: z.int().min(1).max(100),
    roles: z.array(role).min(1).max(100).optional().describe('given out in turn'),
    out_dir: text(4_096).optional().describe('write prompt-<agent_id>.md into this directory'),
    force: z.boolean().optional().describe('write over files that are there'),
  }),
  output: z.object({
    prompts: z.array(prompt),
    register: z.array(z.string()).describe('send these first, in this order'),
  }),
  effect: 'local',
  needs: 'nothing',
  errors: ['EXISTS'],
  positional: ['count'],
  examples: [
    {
      in: { cmd: 'spawn-prompts', count: 2, roles: ['implementer', 'reviewer'] },
      out: {
        prompts: [
          { agent_id: 1, role: 'implementer', prompt: '$string' },
          { agent_id: 2, role: 'reviewer', prompt: '$string' },
        ],
        register: ['$string', '$string'],
      },
    },
  ],
  async run(ctx, { count, roles, out_dir, force = false }) {
    const agents = Array.from({ length: count }, (_, at) => ({
      agent_id: at + 1,
      role: roles?.[at % roles.length],
    }))
    const prompts: Prompt[] = agents.map(({ agent_id, role: own }) => ({
      agent_id,
      ...(own === undefined ? {} : { role: own }),
      prompt: agentPrompt({
        agentId: agent_id,
        role: own,
        repo: namedRepo(ctx),
        contractPath: ctx.root?.config.contract_path,
        render: ctx.render,
      }),
    }))
    return {
      prompts: out_dir === undefined ? prompts : await writeAll(resolve(ctx.cwd, out_dir), prompts, force),
      register: registrations(agents, ctx.render),
    }
  },
  dry: async (_ctx, { count, out_dir }) =>
    out_dir === undefined
      ? []
      : Array.from({ length: count }, (_, at) => `write ${join(out_dir, fileName(at + 1))}`),
})

/** `register` with a count gives its role to the agents that it makes: one request for each run of equals, in order. */
function registrations(
  agents: readonly { readonly agent_id: number; readonly role: string | undefined }[],
  render: CommandContext['render'],
): string[] {
  return agents
    .filter((agent, at) => at === agents.length - 1 || agents[at + 1]?.role !== agent.role)
    .map(({ agent_id, role: own }) =>
      render({ cmd: 'register', count: agent_id, ...(own === undefined ? {} : { role: own }) }),
    )
}

function fileName(agentId: number): string {
  return `prompt-${agentId}.md`
}

async function writeAll(directory: string, prompts: readonly Prompt[], force: boolean): Promise<Prompt[]> {
  try {
    await mkdir(directory, { recursive: true })
    const written: Prompt[] = []
    for (const { prompt: content = '', ...rest } of prompts) {
      const file = join(directory, fileName(rest.agent_id))
      writePrompt(file, content, force)
      written.push({ ...rest, file })
    }
    return written
  } catch (error) {
    if (error instanceof SwarmError) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new SwarmError('INVALID', `out_dir cannot be written: ${why}`, {
      ctx: {
        kind: 'InvalidValue',
        field: 'out_dir',
        expected: 'a directory that can be written',
        got: directory,
      },
    })
  }
}

function writePrompt(file: string, content: string, force: boolean): void {
  try {
    writeNewFile(file, content, force)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    throw new SwarmError('EXISTS', `there is a file ${file} already; force writes over it`, {
      ctx: { field: 'out_dir', got: file },
    })
  }
}
