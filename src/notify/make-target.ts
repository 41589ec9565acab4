import { SwarmError } from '../contract/errors.ts'
import type { TargetConfig } from '../contract/notify-config.ts'
import type { Target } from './target.ts'
import { type TelegramTarget, telegramTarget } from './telegram-target.ts'
import { webhookTarget } from './webhook-target.ts'

type Env = Readonly<Record<string, string | undefined>>

/** Makes a target of its configuration; INVALID when its secret is not in the environment, or is none. */
export function makeTarget(name: string, config: TargetConfig, env: Env): Target | TelegramTarget {
  return config.kind === 'webhook'
    ? webhookTarget(name, config, secretOf(name, 'secret_env', config.secret_env, env))
    : telegramTarget(name, config, secretOf(name, 'token_env', config.token_env, env))
}

function secretOf(name: string, field: string, variable: string, env: Env): string {
  const value = env[variable]?.trim()
  if (value) return value
  throw new SwarmError('INVALID', `the target ${name} needs ${variable} in the environment`, {
    area: 'configuration',
    ctx: { kind: 'MissingField', field: `notify.${name}.${field}` },
  })
}
