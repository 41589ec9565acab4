import { useSyncExternalStore } from 'react'

let skewMs = 0
let now = Date.now()
const listeners = new Set<() => void>()
setInterval(() => {
  now = serverNow()
  for (const listener of listeners) listener()
}, 1_000)

/** A difference below this is the way and no wrong clock, in ms. */
const NO_SKEW_MS = 2_000

/** Learns how the clock of this machine stands to the server's, by an ISO time that has just come from there. */
export function learnClock(asOf: string): void {
  const skew = Date.parse(asOf) - Date.now()
  skewMs = Math.abs(skew) < NO_SKEW_MS ? 0 : skew
}

/** Unix milliseconds by the server's clock: what times of the server are held against. */
export function serverNow(): number {
  return Date.now() + skewMs
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** A duration in its largest unit: `40s`, `12m`, `3h`, `2d`. */
export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1_000))
  if (s < 60) return `${s}s`
  if (s < 3_600) return `${Math.floor(s / 60)}m`
  if (s < 86_400) return `${Math.floor(s / 3_600)}h`
  return `${Math.floor(s / 86_400)}d`
}

/** How long ago it was, or `in` how long it will be; the time itself on hover. Rendered again only when the words change. */
export function Ago({ at }: { readonly at: string }) {
  const time = Date.parse(at)
  // what has just happened is never ahead, whatever the two clocks say
  const words = useSyncExternalStore(subscribe, () =>
    now - time < -2_000 ? `in ${span(time - now)}` : span(now - time),
  )
  return (
    <time dateTime={at} title={new Date(at).toLocaleString()}>
      {words}
    </time>
  )
}

/** An amount of money as people write it. */
export function dollars(usd: number): string {
  return `$${usd.toFixed(usd > 0 && usd < 0.1 ? 3 : 2)}`
}

/** Times in a text of the server, as the clock of who reads it says. */
export function localTimes(text: string): string {
  return text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, (iso) => {
    const time = new Date(iso)
    const isToday = time.toDateString() === new Date().toDateString()
    const clock = time.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })
    return isToday
      ? clock
      : `${time.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${clock}`
  })
}
