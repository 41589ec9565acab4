import { SwarmError } from '../contract/errors.ts'
import type { LandingConfig } from '../contract/landing-config.ts'
import { maskSecrets } from '../contract/secrets.ts'
import { addressOf, fillWords, type PullStanding, readStanding } from '../core/pulls.ts'
import { operatorPath, resolveGate, runCommand } from '../process/index.ts'

/** What the words of a forge's commands may name. */
export interface PullWords {
  readonly branch: string
  readonly target: string
  readonly remote: string
  readonly bead: string
  readonly head: string
  readonly url: string
  readonly title: string
}

/** The place where pull requests are: told by commands, each a list of words and never a line for a shell. */
export interface Forge {
  readonly pollMs: number
  /** Opens a pull request; answers its address. */
  open(words: PullWords, body: string, signal: AbortSignal): Promise<string>
  /** How the pull request of a branch stands. */
  standing(words: PullWords, signal: AbortSignal): Promise<PullStanding>
  /** Throws DEPENDENCY when a program is missing or says that it cannot work (not logged in). */
  check(signal: AbortSignal): Promise<void>
}

const OPEN = ['gh', 'pr', 'create', '--head={branch}', '--base={target}', '--title={title}', '--body-file=-']
const STATE = [
  'gh',
  'pr',
  'list',
  '--head={branch}',
  '--base={target}',
  '--state=all',
  '--limit=50',
  '--json=state,url,headRefOid,mergeCommit,isCrossRepository',
]
const CHECK = ['gh', 'auth', 'status']
const POLL_MS = 30_000
const TIMEOUT_MS = 60_000
const OUTPUT_BYTES = 262_144

/** `root`: where the commands run; their programs are found outside of it, as those of gates are. */
export function createForge(
  landing: LandingConfig,
  root: string,
  env: Readonly<Record<string, string | undefined>>,
): Forge {
  const { open = OPEN, state = STATE, poll_ms, timeout_ms = TIMEOUT_MS } = landing.pull_request ?? {}
  const usesGh = landing.pull_request?.open === undefined || landing.pull_request.state === undefined
  const check = landing.pull_request?.check ?? (usesGh ? CHECK : undefined)
  const resolved = ([word = '', ...args]: readonly string[]) => {
    try {
      return resolveGate([word, ...args], { root, cwd: root, path: operatorPath(env) })
    } catch (error) {
      if (!(error instanceof SwarmError)) throw error
      throw error.with({
        message: `pull requests cannot be opened: ${word} is not on the operator’s PATH outside of the root; install it, or name other commands under [landing.pull_request]`,
        ctx: { ...error.ctx, field: 'landing.pull_request' },
      })
    }
  }
  const run = async (what: string, words: readonly string[], signal: AbortSignal, input?: string) => {
    const program = resolved(words)
    const result = await runCommand({
      argv: program.argv,
      cwd: root,
      env: { PATH: program.path, GH_PROMPT_DISABLED: '1', GIT_TERMINAL_PROMPT: '0', NO_COLOR: '1' },
      ...(input === undefined ? {} : { input }),
      timeoutMs: timeout_ms,
      maxOutputBytes: OUTPUT_BYTES,
      signal,
      watched: true,
    })
    if (result.ended === 'exited' && result.exitCode === 0) return result.stdout.text
    const how =
      result.ended === 'timed_out'
        ? `did not end within ${timeout_ms} ms`
        : result.ended === 'exited'
          ? `exited with ${result.exitCode}`
          : `was ended (${result.signal ?? result.ended})`
    throw failed(what, words, `${how}: ${maskSecrets(result.output.text).trim().slice(-500)}`)
  }
  return {
    pollMs: poll_ms ?? POLL_MS,
    async open(words, body, signal) {
      const output = await run('opens pull requests', fillWords(open, { ...words }), signal, body)
      const url = addressOf(output)
      if (url === undefined)
        throw failed(
          'opens pull requests',
          open,
          `printed no address in its last line: ${output.slice(-200)}`,
        )
      return url
    },
    async standing(words, signal) {
      const output = await run('asks for pull requests', fillWords(state, { ...words }), signal)
      const head = words.head === '' ? null : words.head
      const standing = readStanding(output, head, words.url === '' ? null : words.url)
      if (!standing)
        throw failed('asks for pull requests', state, `printed what is no state: ${output.slice(0, 200)}`)
      return standing
    },
    async check(signal) {
      for (const words of [open, state]) resolved(words)
      if (check) await run('says whether pull requests can be opened', check, signal)
    },
  }
}

function failed(what: string, [program = '']: readonly string[], how: string): SwarmError {
  return new SwarmError('DEPENDENCY', `${program}, which ${what}, ${how}`, {
    ctx: { dependency: program, field: 'landing.pull_request' },
    retryable: false,
  })
}
