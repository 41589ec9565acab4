import { isJsonObject, type JsonObject } from '../contract/json.ts'
import { readLines } from '../ndjson.ts'
import { type Exit, type Peer, spawnPeer, tailOf } from '../process/index.ts'
import type { Scratch } from './scratch.ts'

/** One process of `swarm up`. */
export interface Up {
  readonly peer: Peer
  /** How it has ended; undefined while it runs. */
  exit(): Exit | undefined
  /** The `d` of its answer; undefined before. */
  answer(): JsonObject | undefined
  /** What went wrong, in its own words; empty when nothing did. */
  faults(): readonly string[]
}

const KEPT_STDERR = 1_000
/** Told to stop, it has so long to end its sessions and keep their work. */
export const LEAVE_MS = 8_000

/** Starts `swarm up` with these arguments. It ends also when the demo itself is killed. */
export async function startUp(
  swarm: readonly string[],
  scratch: Scratch,
  args: readonly string[],
): Promise<Up> {
  const peer = await spawnPeer({
    argv: [...swarm, 'up', ...args],
    cwd: scratch.root,
    env: scratch.env,
    stderr: 'pipe',
    watched: true,
  })
  let exit: Exit | undefined
  let answer: JsonObject | undefined
  let said = ''
  let refused: string | undefined
  peer.exited.then((how) => {
    exit = how
  })
  peer.stderr?.on('data', (chunk: Buffer) => {
    said = `${said}${chunk}`.slice(-KEPT_STDERR)
  })
  const listen = async () => {
    for await (const { value } of readLines(peer.stdout)) {
      if (!isJsonObject(value)) continue
      if (isJsonObject(value.d)) answer = value.d
      else if (isJsonObject(value.err)) refused = `${value.err.code}: ${value.err.msg}`
    }
  }
  listen().catch(() => {})
  return {
    peer,
    exit: () => exit,
    answer: () => answer,
    faults: () => [
      ...(refused === undefined ? [] : [`swarm up answered ${refused}`]),
      ...(said.trim() === '' ? [] : [`swarm up said: ${tailOf(said.trim(), 300)}`]),
    ],
  }
}
