import type { AgentPermissions } from '../contract/agents-config.ts'

/** What the rules of a role say to a tool call: `ask` leaves it to a human. Denials come first, then what is allowed by name. */
export function decidePermission(
  { mode = 'allow', allow = [], deny = [] }: AgentPermissions,
  tool: string,
): 'allow' | 'deny' | 'ask' {
  if (deny.some((pattern) => matches(pattern, tool))) return 'deny'
  if (allow.some((pattern) => matches(pattern, tool))) return 'allow'
  return mode
}

/** `*` stands for any letters; everything else for itself, capital or not. */
function matches(pattern: string, tool: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 'is').test(tool)
}
