const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/**
 * Calls `stop` at the first signal that asks the process to end. A second one ends it at once, as it would have
 * without this. Returns how to stop listening.
 */
export function onStopSignal(stop: () => void): () => void {
  function release(): void {
    for (const signal of STOP_SIGNALS) process.off(signal, heard)
  }
  function heard(): void {
    release()
    stop()
  }
  for (const signal of STOP_SIGNALS) process.on(signal, heard)
  return release
}
