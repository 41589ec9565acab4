const FIRST_MS = 10_000
const EVERY_MS = 3_600_000

/**
 * Prunes what is older than the configured retention, audit rows after 30 days unless it says otherwise: ten seconds after a
 * long-lived process has begun, then every hour. Returns how to stop it.
 */
export function startRetention(prune: () => Promise<void>): () => void {
  let timer: NodeJS.Timeout
  const later = (ms: number) => {
    timer = setTimeout(() => {
      // a failed prune is tried again an hour later; its reply says nothing to anybody here
      prune().catch(() => {})
      later(EVERY_MS)
    }, ms)
    timer.unref()
  }
  later(FIRST_MS)
  return () => clearTimeout(timer)
}
