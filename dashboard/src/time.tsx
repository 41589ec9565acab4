import { useSyncExternalStore } from 'react'

let now = Date.now()
const listeners = new Set<() => void>()
setInterval(() => {
  now = Date.now()
  for (const listener of listeners) listener()
}, 1_000)

/** Unix milliseconds, renewed every second. */
export function useNow(): number {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => now,
  )
}

/** A duration in its largest unit: `40s`, `12m`, `3h`, `2d`. */
export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1_000))
  if (s < 60) return `${s}s`
  if (s < 3_600) return `${Math.floor(s / 60)}m`
  if (s < 86_400) return `${Math.floor(s / 3_600)}h`
  return `${Math.floor(s / 86_400)}d`
}

/** How long ago it was; the time itself on hover. */
export function Ago({ at }: { readonly at: string }) {
  const ms = useNow() - Date.parse(at)
  return (
    <time dateTime={at} title={new Date(at).toLocaleString()}>
      {ms < 0 ? `in ${span(-ms)}` : span(ms)}
    </time>
  )
}
