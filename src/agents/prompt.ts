import type { CommandContext } from '../contract/command.ts'
import type { FixRequest } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'

export const MAX_PROMPT_BYTES = 1_500

export interface PromptOptions {
  /** Absent: the agent registers itself and writes its number for the 1 of the examples. */
  readonly agentId?: number | undefined
  readonly role?: string | undefined
  /** Named only when it is not the root's own. */
  readonly repo?: string | undefined
  readonly render: CommandContext['render']
}

/** What is left out, one after the other, when a long role or repo would make the text too long. */
const VARIANTS = [
  { named: true, talk: true, stages: true },
  { named: false, talk: true, stages: true },
  { named: false, talk: false, stages: true },
  { named: false, talk: false, stages: false },
] as const

/**
 * The whole loop in at most 1,500 bytes, for a language model that is given nothing else: request lines for a pipe, commands
 * for a shell, each of which works as it stands.
 */
export function agentPrompt(options: PromptOptions): string {
  const texts = VARIANTS.map((variant) => compose(options, variant))
  return texts.find((text) => Buffer.byteLength(text) <= MAX_PROMPT_BYTES) ?? texts.at(-1) ?? ''
}

function compose(
  { agentId, role, repo, render }: PromptOptions,
  { named, talk, stages }: (typeof VARIANTS)[number],
): string {
  const me = agentId ?? 1
  const piped = render({ cmd: 'describe' }).startsWith('{')
  const line = (cmd: string, fields: JsonObject = {}): string => {
    const request: FixRequest = { cmd, ...fields }
    return render(request)
  }
  const mine = (cmd: string, fields: JsonObject = {}) => line(cmd, { agent_id: me, ...fields })

  const as = role === undefined || !named ? '' : ` (${/^[\w .-]+$/.test(role) ? role : JSON.stringify(role)})`
  const who = agentId === undefined ? `an agent${as}` : `agent ${me}${as}`
  const env = repo === undefined ? '' : `Set SWARM_REPO=${repo}. `
  const how = piped
    ? 'Keep one `swarm` process open; write it a line, read a line'
    : 'Run these commands in a shell; each prints a line'
  const first =
    agentId === undefined
      ? `0. ${line('register', role === undefined ? {} : { role })}
d.agent_ids[0] is your number: put it for 1 in each line below.
`
      : ''
  const alive = piped
    ? 'The open process keeps the bead yours. Say how it goes'
    : 'Every 5 minutes, or you lose the bead, say how it goes'
  const speak = talk
    ? `Tell one (number or role), or all: ${mine('send', { to: me === 1 ? 2 : 1, body: 'text' })}
${line('broadcast', { from: me, msg: 'text' })}
`
    : ''
  const meanings = stages
    ? ' contract: write down what must hold when done; implement: build it; qa: test it; red-queen: try to break it.'
    : ''
  return `You are ${who} in a swarm with one backlog of beads (tasks). ${env}${how}: {"ok":true,"d":…} or {"ok":false,"err":…,"fix":…}. Not ok: send fix if any, else do what err says; on CONFLICT the bead is yours no more: drop it, go to 1. Replace the sample texts.
${first}1. ${mine('inbox')}
Heed d.messages.
2. ${mine('claim-next')}
d.bead is yours. Do its stage d.stage, no other.${meanings} d.feedback: what was wrong before.
No bead: d.reason empty: all done, stop; blocked: stop, tell a person; else wait, again and again: ${mine('claim-next', { wait_ms: 60_000, ...(piped ? { rid: 'w' } : {}) })}
3. Work. ${alive}: ${mine('heartbeat', { note: 'half done' })}
4. Checked and good: ${mine('complete-stage', { outcome: 'passed' })}
Not good: ${mine('complete-stage', { outcome: 'failed', feedback: 'what is wrong' })}
d.kept true: do d.stage now, from 3. Else go to 1.
Cannot do it: ${mine('release', { to: 'blocked', reason: 'why' })}
Go to 1.
${speak}`
}
