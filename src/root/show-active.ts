import { maskUrl, maskWords } from '../contract/secrets.ts'
import type { ActiveKeys } from './active-keys.ts'
import { SWARM_DIR } from './find.ts'

/** Commands that a refusal shows, and characters of each: it is read by people. */
const MOST_SHOWN = 20
const LONGEST = 300

/** What active keys would do, as it may be shown: passwords masked, long ones cut. */
export interface Shown {
  /** In words, each without an object: "connect to …", "run …". */
  readonly does: readonly string[]
  /** How many more commands there are than are shown. */
  readonly more: number
}

/** What active keys would do, in words. */
export function showActive(active: ActiveKeys): Shown {
  const {
    database_url,
    listen_url,
    push,
    pull_requests,
    gates = {},
    agents = {},
    rules = [],
    prompts = {},
    workspace,
    notify = {},
    proxies = [],
  } = active
  const { open, state, check } = pull_requests ?? {}
  const forge = [
    [open, 'to open pull requests'],
    [state, 'to ask how they stand'],
    [check, 'to see whether that works'],
  ] as const
  const byHand = forge.flatMap(([words, why]) => (words ? [`run ${shownWords(words)} ${why}`] : []))
  const byGh = byHand.length < forge.length ? ['open and ask for pull requests with gh'] : []
  const runs = [
    ...(pull_requests ? [...byHand, ...byGh] : []),
    ...Object.entries(gates).map(([stage, words]) => `run ${shownWords(words)} as the gate of ${stage}`),
    ...Object.entries(agents).map(([role, { adapter, command = [], args = [], env = {} }]) => {
      const names = Object.keys(env).join(' ')
      const words = command.length + args.length > 0 ? ` ${shownWords([...command, ...args])}` : ''
      return `run ${adapter}${words} for the role ${role}${names ? `, with ${names} set` : ''}`.slice(
        0,
        LONGEST,
      )
    }),
    ...(workspace
      ? [
          `run ${shownWords(workspace.create)} to make the workspace of each bead`,
          ...(workspace.remove ? [`run ${shownWords(workspace.remove)} to remove it`] : []),
        ]
      : []),
    ...Object.entries(prompts).map(
      ([stage, hash]) =>
        `tell agents at the stage ${stage} what ${SWARM_DIR}/prompts/${stage}.md says (SHA-256 ${hash.slice(0, 16)}…)`,
    ),
    ...rules.map(({ name, match: _match, ...outcome }, at) => {
      const what = Object.entries(outcome).map(([key, value]) => `${key} ${value}`)
      const own = name === undefined ? '' : ` (${name})`
      return `give beads of rule ${at + 1}${own} ${what.length > 0 ? what.join(', ') : 'nothing of their own'}`.slice(
        0,
        LONGEST,
      )
    }),
  ]
  const servers = [
    ...(database_url === undefined ? [] : [`connect to ${maskUrl(database_url).slice(0, LONGEST)}`]),
    ...(listen_url === undefined ? [] : [`listen at ${maskUrl(listen_url).slice(0, LONGEST)}`]),
    ...(push === undefined ? [] : [`push to ${maskUrl(push).slice(0, LONGEST)}`]),
    ...Object.entries(notify).map(([name, target]) => {
      // only the host: paths of such URLs are secrets
      const url = target.kind === 'webhook' ? target.url : (target.api_url ?? 'https://api.telegram.org')
      const secret = target.kind === 'webhook' ? target.secret_env : target.token_env
      return `tell ${new URL(url).host} what happens, as ${name}, with the secret in ${secret}`
    }),
    ...(proxies.length === 0
      ? []
      : [`believe what ${proxies.join(', ').slice(0, LONGEST)} says of where requests come from`]),
  ]
  return { does: [...servers, ...runs.slice(0, MOST_SHOWN)], more: Math.max(0, runs.length - MOST_SHOWN) }
}

function shownWords(words: readonly string[]): string {
  const text = JSON.stringify(maskWords(words))
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}… (${text.length} characters)` : text
}
