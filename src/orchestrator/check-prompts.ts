import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { PLACEHOLDERS, unknownPlaces } from './prompt.ts'

/**
 * Refuses prompts of `.swarm/prompts/` that could not be used as they were meant: a file that is none, a placeholder that nothing is known of,
 * a stage that no workflow has. INVALID with the file, before any agent is started.
 */
export async function checkPrompts(ctx: CommandContext): Promise<void> {
  const { prompts = {}, promptFaults = [] } = ctx.root ?? {}
  const [fault] = promptFaults
  if (fault) throw refuse(fault.file, `${fault.file} ${fault.problem}: mend it, or move it away`)
  for (const [stage, text] of Object.entries(prompts)) {
    const [unknown] = unknownPlaces(text)
    if (!unknown) continue
    const known = PLACEHOLDERS.map((name) => `{{${name}}}`).join(', ')
    throw refuse(
      fileOf(stage),
      `${fileOf(stage)} has {{${unknown.name}}} on line ${unknown.line}, of which nothing is known: there are ${known}; for these letters themselves write \\{{${unknown.name}}}`,
    )
  }
  if (Object.keys(prompts).length === 0) return
  const rows = await ctx.db.read<{ stage: string }>(
    'select distinct stage from swarm.workflow_stages where repo_id = $1 order by stage',
    [ctx.repo],
  )
  const stages = rows.map(({ stage }) => stage)
  const stray = Object.keys(prompts).find((stage) => !stages.includes(stage))
  if (stray === undefined) return
  throw refuse(
    fileOf(stray),
    `${fileOf(stray)} is for the stage ${stray}, which no workflow has: there are ${stages.join(', ')}; name it like one, or so that it does not end in .md`,
  )
}

function fileOf(stage: string): string {
  return `.swarm/prompts/${stage}.md`
}

function refuse(file: string, message: string): SwarmError {
  return new SwarmError('INVALID', message, {
    area: 'configuration',
    ctx: { kind: 'InvalidValue', field: 'prompts', file },
  })
}
