import { useSyncExternalStore } from 'react'
import type { Agent, Attempt, Bead, LogEvent, Overview } from './api.ts'

/** What the page knows, outside of React: changes are gathered and told once a frame, by topic. */
export type Topic = 'overview' | 'beads' | 'agents' | 'attempts' | 'events' | 'connection'

export type Connection = 'starting' | 'live' | 'away' | 'database away' | 'login'

interface State {
  overview: Overview | undefined
  /** All beads by id, in the order in which they came. */
  beads: Map<string, Bead>
  /** True once all of them have been read. */
  beadsRead: boolean
  agents: readonly Agent[]
  /** Of the last hour, latest first. */
  attempts: readonly Attempt[]
  /** Latest first. */
  events: readonly LogEvent[]
  connection: Connection
  /** Why it is not live. */
  why: string
  /** Between an event's time and its arrival here, in ms; unknown until one has come. */
  lagMs: number | undefined
}

export const state: State = {
  overview: undefined,
  beads: new Map(),
  beadsRead: false,
  agents: [],
  attempts: [],
  events: [],
  connection: 'starting',
  why: '',
  lagMs: undefined,
}

const revisions: Record<Topic, number> = {
  overview: 0,
  beads: 0,
  agents: 0,
  attempts: 0,
  events: 0,
  connection: 0,
}
const listeners = new Map<Topic, Set<() => void>>()
const changed = new Set<Topic>()
let frame = 0

/** Says that something has changed; who shows it is told with the next frame. */
export function touch(...topics: Topic[]): void {
  for (const topic of topics) changed.add(topic)
  if (frame !== 0) return
  frame = requestAnimationFrame(tell)
}

function tell(): void {
  frame = 0
  const topics = [...changed]
  changed.clear()
  for (const topic of topics) {
    revisions[topic] += 1
    for (const listener of listeners.get(topic) ?? []) listener()
  }
}

/** Renders again when the topic has changed; answers its revision. */
export function useTopic(topic: Topic): number {
  return useSyncExternalStore(
    (listener) => {
      const set = listeners.get(topic) ?? new Set()
      listeners.set(topic, set.add(listener))
      return () => set.delete(listener)
    },
    () => revisions[topic],
  )
}
