import { stripVTControlCharacters } from 'node:util'
import { SwarmError } from '../contract/errors.ts'
import { gateHash, gateName } from '../contract/gates.ts'
import type { JsonObject } from '../contract/json.ts'
import { maskSecrets } from '../contract/secrets.ts'
import { type GatePlace, resolveGate, runCommand, tailOf } from '../process/index.ts'
import { makeCheckout } from '../workspaces/checkout.ts'
import { changedGateFiles } from '../workspaces/gate-files.ts'
import type { Repository } from '../workspaces/repository.ts'
import type { GateSettings } from './settings.ts'

/** What gates said of one tree. */
export interface Verdict {
  readonly passed: boolean
  /** For the next attempt: which gate failed and the end of its output. */
  readonly feedback: string | undefined
  readonly evidence: readonly (JsonObject & { readonly output: string })[]
}

const TAIL_CHARS = 4_000
const OUTPUT_BYTES = 65_536
const GRACE_MS = 2_000

/**
 * Runs gates in a clean checkout of a commit, with the operator's PATH (`path`) and nothing of the agent's: see `resolveGate`. Fails
 * closed: a command that is missing, does not end in time or ends by a signal has failed, and one whose own files the work has changed is not run:
 * it would be the work that judges itself.
 */
export async function runGates(
  repository: Repository,
  commit: string,
  tree: string,
  gates: readonly GateSettings[],
  path: string,
  signal: AbortSignal,
): Promise<Verdict> {
  if (gates.length === 0) return { passed: true, feedback: undefined, evidence: [] }
  const checkout = await makeCheckout(repository, commit)
  const evidence: (JsonObject & { readonly output: string })[] = []
  try {
    for (const gate of gates) {
      const changed = await changedGateFiles(repository, commit, gate.argv, gate.files)
      const result = await runOne(gate, changed, { root: repository.root, cwd: checkout.path, path }, signal)
      evidence.push({ ...result.evidence, commit, tree })
      if (!result.passed) return { passed: false, feedback: result.feedback, evidence }
    }
    return { passed: true, feedback: undefined, evidence }
  } finally {
    await checkout.remove()
  }
}

async function runOne(
  { stage, argv, timeoutMs }: GateSettings,
  changed: readonly string[],
  place: GatePlace,
  signal: AbortSignal,
) {
  const shown = maskSecrets(argv.join(' ').slice(0, 500))
  const started = performance.now()
  const failed = (how: string, output: string) => ({
    passed: false,
    feedback: `the gate of ${stage}, \`${shown}\`, ${how}${output ? `\n${tailOf(output, TAIL_CHARS)}` : ''}`,
    evidence: {
      command: shown,
      gate: gateName(argv),
      gate_hash: gateHash(argv),
      stage,
      exit_code: -1,
      ended: how,
      output: `$ ${shown}\n[${how}]\n${output}`,
    },
  })
  if (changed.length > 0)
    return failed(
      `was not run: the work changes ${changed.slice(0, 5).join(', ')}, by which it is judged. Restore ${changed.length === 1 ? 'it' : 'them'}; a person changes what gates are made of`,
      '',
    )
  try {
    const program = resolveGate(argv, place)
    const result = await runCommand({
      argv: program.argv,
      cwd: place.cwd,
      env: { PATH: program.path },
      timeoutMs,
      graceMs: GRACE_MS,
      maxOutputBytes: OUTPUT_BYTES,
      signal,
      watched: true,
    })
    const output = maskSecrets(stripVTControlCharacters(result.output.text))
    if (result.ended === 'timed_out') return failed(`did not end within ${timeoutMs} ms`, output)
    if (result.ended !== 'exited') return failed(`was ended (${result.signal ?? result.ended})`, output)
    if (result.exitCode !== 0) {
      const one = failed(`exited with ${result.exitCode}`, output)
      return { ...one, evidence: { ...one.evidence, exit_code: result.exitCode ?? -1, ended: 'exited' } }
    }
    return {
      passed: true,
      feedback: undefined,
      evidence: {
        command: shown,
        gate: gateName(argv),
        gate_hash: gateHash(argv),
        stage,
        exit_code: 0,
        ended: 'exited',
        duration_ms: Math.round(performance.now() - started),
        output: `$ ${shown}\n[exited with 0, ${new Date().toISOString()}]\n${output}`,
      },
    }
  } catch (error) {
    if (error instanceof SwarmError && error.code === 'DEPENDENCY')
      return failed(`could not run: ${error.message}`, '')
    throw error
  }
}
