import { SwarmError } from '../../../contract/errors.ts'
import { admit } from '../admit.ts'
import type { Asked } from '../asked.ts'
import type { Callers } from '../callers.ts'
import { Refused } from '../refused.ts'
import type { Hub } from './hub.ts'

/** A client with so much unread is cut. */
export const MOST_UNREAD_BYTES = 4_194_304
/** Tokens of open streams are looked at so often: one that is revoked is cut within seconds. */
const LOOK_MS = 4_000

export interface Streams {
  readonly hub: Hub
  /** Lets a stream in, or refuses it. Call `leave` when it has ended. */
  enter(asked: Asked, kind: 'sse' | 'socket'): Promise<{ leave(): void }>
  /** How many are open, by kind. */
  counts(): Readonly<Record<string, number>>
  /** Tells all that the server ends. */
  end(): void
  close(): Promise<void>
}

/** Keeps account of the open streams. `most`: of one token, or of all who show none. */
export function createStreams(hub: Hub, callers: Callers, repo: string, most: number): Streams {
  const byToken = new Map<string | undefined, number>()
  const counts = { sse: 0, socket: 0 }
  const timer = setInterval(() => void look(), LOOK_MS)
  timer.unref()

  async function look(): Promise<void> {
    const tokens = new Set([...hub.members()].map(({ token }) => token))
    for (const token of tokens) {
      const answer = await callers.of(token).mayRun({ cmd: 'subscribe' })
      if (!('refusal' in answer) || answer.refusal.code !== 'UNAUTHORIZED') continue
      for (const member of hub.members()) if (member.token === token) member.cut('token')
    }
  }

  return {
    hub,
    async enter(asked, kind) {
      const principal = await admit(asked, { cmd: 'subscribe' })
      if (principal && principal.repo !== repo && principal.role !== 'operator')
        throw otherRepo(repo, principal.repo)
      const { token } = asked
      const open = byToken.get(token) ?? 0
      if (open >= most) throw tooMany(most)
      byToken.set(token, open + 1)
      counts[kind] += 1
      let left = false
      return {
        leave() {
          if (left) return
          left = true
          counts[kind] -= 1
          const rest = (byToken.get(token) ?? 1) - 1
          if (rest > 0) byToken.set(token, rest)
          else byToken.delete(token)
        },
      }
    },
    counts: () => counts,
    end() {
      for (const member of hub.members()) member.cut('shutdown')
    },
    async close() {
      clearInterval(timer)
      await hub.close()
    },
  }
}

function tooMany(limit: number): Refused {
  return new Refused(
    429,
    new SwarmError('BUSY', `${limit} streams are open under this token already`, { ctx: { limit } }),
  )
}

function otherRepo(repo: string, got: string): Refused {
  return new Refused(
    403,
    new SwarmError('UNAUTHORIZED', `the streams of this server are those of the repo ${repo}`, {
      ctx: { kind: 'InvalidValue', field: 'repo', expected: repo, got },
    }),
  )
}
