const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/**
 * Calls `stop` at the first signal that asks the process to end. A second one calls `again`, where something still goes on that it ends
 * sooner, and a third ends the process; where there is no such thing, the second ends it at once, as it would have without this. Returns how to
 * stop listening.
 */
export function onStopSignal(stop: () => void, again: () => boolean = () => false): () => void {
  let heard = 0
  function release(): void {
    for (const signal of STOP_SIGNALS) process.off(signal, hear)
  }
  function hear(signal: NodeJS.Signals): void {
    heard += 1
    if (heard === 1) {
      stop()
      return
    }
    if (heard === 2 && again()) return
    release()
    process.kill(process.pid, signal)
  }
  for (const signal of STOP_SIGNALS) process.on(signal, hear)
  return release
}
