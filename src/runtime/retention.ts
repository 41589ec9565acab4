const FIRST_MS = 10_000
const EVERY_MS = 3_600_000

/**
 * Prunes what is older than the configured retention: ten seconds after a long-lived process has begun, then every hour. Without one
 * nothing is ever removed. Returns how to stop it.
 */
export function startRetention(
  retention: () => string | undefined,
  prune: (before: string) => Promise<void>,
): () => void {
  let timer: NodeJS.Timeout
  const later = (ms: number) => {
    timer = setTimeout(() => {
      const before = retention()
      // a failed prune is tried again an hour later; its reply says nothing to anybody here
      if (before !== undefined) prune(before).catch(() => {})
      later(EVERY_MS)
    }, ms)
    timer.unref()
  }
  later(FIRST_MS)
  return () => clearTimeout(timer)
}
