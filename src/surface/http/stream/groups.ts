import { type Filters, type Frame, isWanted } from './frames.ts'

/** A client that is told what happens. */
export interface Member {
  readonly form: 'line' | 'sse'
  /** Channels and rooms. */
  readonly topics: ReadonlySet<string>
  readonly filters: Filters
  /** Whose token it came with, to look now and then whether that is still good. */
  readonly token: string | undefined
  readonly gone: boolean
  /** Hands over what was encoded for all who want the same. */
  send(bytes: Buffer): void
  /** Resolves when it has read most of what it was sent, or has gone. */
  drained(): Promise<void>
  /** Tells it why, and ends it. */
  cut(reason: 'slow' | 'log' | 'shutdown' | 'token'): void
}

interface Group {
  readonly form: Member['form']
  readonly topics: ReadonlySet<string>
  readonly filters: Filters
  readonly members: Set<Member>
}

/** Members that want the same in the same form are a group: what they are sent is put together once. */
export function createGroups() {
  const groups = new Map<string, Group>()
  const places = new Map<Member, string>()

  return {
    add(member: Member): void {
      const { form, topics, filters } = member
      const key = JSON.stringify([form, [...topics].sort(), Object.entries(filters).sort()])
      const group = groups.get(key) ?? { form, topics: new Set(topics), filters, members: new Set<Member>() }
      groups.set(key, group)
      group.members.add(member)
      places.set(member, key)
    },
    /** False when it was in none. */
    remove(member: Member): boolean {
      const key = places.get(member)
      if (key === undefined) return false
      places.delete(member)
      const group = groups.get(key)
      group?.members.delete(member)
      if (group?.members.size === 0) groups.delete(key)
      return true
    },
    tell(frames: readonly Frame[]): void {
      if (frames.length === 0) return
      for (const group of groups.values()) {
        const bytes = bytesFor(group, frames)
        if (bytes) for (const member of [...group.members]) member.send(bytes)
      }
    },
    tellOne(member: Member, frames: readonly Frame[]): void {
      const bytes = bytesFor(member, frames)
      if (bytes) member.send(bytes)
    },
    /** Whether somebody wants what the programs of sessions say, which is not in the log of events. */
    wantsLogs(): boolean {
      for (const { topics } of groups.values())
        for (const topic of topics) if (topic === 'iterations' || topic.startsWith('session:')) return true
      return false
    },
    members: () => [...places.keys()],
    get size() {
      return places.size
    },
  }
}

function bytesFor(
  { form, topics, filters }: Pick<Group, 'form' | 'topics' | 'filters'>,
  frames: readonly Frame[],
): Buffer | undefined {
  const wanted = frames.filter(
    (one) => one.topics.some((topic) => topics.has(topic)) && isWanted(filters, one.about),
  )
  if (wanted.length === 0) return undefined
  const texts = wanted.map((one) => (form === 'sse' ? one.sse() : one.line()))
  return Buffer.from(texts.join(form === 'sse' ? '' : '\n'))
}
