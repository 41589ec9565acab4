import { describe, expect, it } from 'vitest'
import { overview, verbHelp } from '../../src/surface/cli/help.ts'
import { catalog, every } from './cli-support.ts'

// safe: help reads a definition, it does not run it
const definition = every as unknown as Parameters<typeof verbHelp>[0]

describe('help', () => {
  it('lists every verb by group', () => {
    const text = overview(catalog.verbs, '1.2.3')
    expect(text).toContain('swarm 1.2.3')
    for (const { name, summary } of catalog.verbs)
      expect(text).toMatch(new RegExp(`^  ${name} +${summary}$`, 'm'))
    expect(text.indexOf('loop:')).toBeLessThan(text.indexOf('other:'))
  })

  it('says of a verb its flags, positional fields, examples and exit codes', () => {
    const text = verbHelp(definition, 100)
    expect(text).toMatch(/^Usage: swarm every-shape \[options\] \[agent_id\] \[labels\.\.\.\]$/m)
    expect(text).toMatch(/--agent-id <number> +a whole number \(required\)/)
    expect(text).toMatch(/--outcome <passed\|failed\|error>/)
    expect(text).toMatch(/--no-unread +only unread ones \(default true\)/)
    expect(text).toMatch(/--labels <text> +.*repeatable/)
    expect(text).toMatch(/--metadata <json>/)
    expect(text).toMatch(/--json <object>/)
    expect(text).toMatch(/--repo <text>/)
    expect(text).toContain('Also: every')
    expect(text).toContain(`  swarm every-shape --agent-id 3 --labels a --labels 'b c'`)
    expect(text).toMatch(/^ {3}5 {2}NOTFOUND/m)
    expect(text).not.toMatch(/--agent </)
  })
})
