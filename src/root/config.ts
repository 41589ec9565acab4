import { basename, join } from 'node:path'
import { parse, TomlError } from 'smol-toml'
import { configSchema, type SwarmConfig } from '../contract/config.ts'
import type { Root } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import { ruleKeysAt } from '../contract/rules-config.ts'
import { findRoot, SWARM_DIR } from './find.ts'
import { checkOwnership } from './ownership.ts'
import { readPrompts } from './prompts.ts'
import { readSmall } from './small-file.ts'
import { activeKeys, hasLost, isTrusted, passiveConfig, untrusted } from './trust.ts'

export const CONFIG_FILE = 'config.toml'
const MOST_BYTES = 4_194_304

/**
 * The root with what of its configuration may be used: without what names servers and commands, and with the reason, until the user
 * has trusted that. Throws what `readRoot` throws.
 */
export function loadRoot(cwd: string, env: Readonly<Record<string, string | undefined>>): Root | null {
  const root = readRoot(cwd, env)
  if (!root) return null
  const active = activeKeys(root.config, root.prompts)
  if (active ? isTrusted(root.path, active, env) : !hasLost(root.path, env)) return root
  const { path, config } = root
  return { path, config: passiveConfig(config), distrust: untrusted(path, active ?? {}) }
}

/**
 * Finds the root and reads its whole configuration; null outside a root. A wrong configuration is INVALID, exit 2, and so is a root
 * that somebody else could have made.
 */
export function readRoot(cwd: string, env: Readonly<Record<string, string | undefined>>): Root | null {
  const path = findRoot(cwd, env)
  if (!path) return null
  checkOwnership(path, CONFIG_FILE, env)
  const { texts, faults } = readPrompts(path)
  return {
    path,
    config: readConfig(join(path, SWARM_DIR, CONFIG_FILE)),
    ...(Object.keys(texts).length > 0 ? { prompts: texts } : {}),
    ...(faults.length > 0 ? { promptFaults: faults } : {}),
  }
}

/** Reads `.swarm/config.toml`; an absent file is an empty configuration. */
export function readConfig(file: string): SwarmConfig {
  const read = readSmall(file, MOST_BYTES, { follow: true })
  if ('text' in read) return parseConfig(read.text, file)
  if (read.code !== undefined) return {}
  throw invalid(file, read.problem, {})
}

/** Parses and checks a configuration. Unknown keys and wrong values are refused by name; values are not echoed. */
export function parseConfig(source: string, file: string): SwarmConfig {
  let value: unknown
  try {
    value = parse(source)
  } catch (error) {
    const where = error instanceof TomlError ? ` on line ${error.line}` : ''
    throw invalid(file, `is not TOML${where}`, {})
  }
  const result = configSchema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  if (issue?.code === 'unrecognized_keys') {
    const at = [...issue.path, issue.keys[0] ?? ''].map(String).join('.')
    const inRules = issue.path[0] === 'rules'
    const valid =
      issue.path.length === 0 ? Object.keys(configSchema.shape) : inRules ? [...ruleKeysAt(issue.path)] : []
    throw invalid(
      file,
      `has the unknown key ${at}${inRules ? `; a rule has ${valid.join(', ')} there` : ''}`,
      {
        kind: 'UnknownField',
        field: at,
        ...(valid.length ? { valid } : {}),
      },
    )
  }
  const field = issue?.path.map(String).join('.') ?? ''
  throw invalid(file, `has a wrong value at ${field}: ${issue?.message ?? 'unknown'}`, {
    kind: 'InvalidValue',
    field,
  })
}

/** The tenant of a root: configured, else the directory's name made safe. */
export function repoOf(root: Root): string {
  return root.config.repo ?? slug(basename(root.path))
}

/** A repo id made of any text. */
export function slug(text: string): string {
  const safe = text
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 128)
  return safe || 'repo'
}

function invalid(file: string, problem: string, ctx: Record<string, string | string[]>): SwarmError {
  return new SwarmError('INVALID', `${SWARM_DIR}/${basename(file)} ${problem}`, {
    area: 'configuration',
    ctx: { ...ctx, file },
  })
}
