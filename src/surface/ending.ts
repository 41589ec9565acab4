import { getLogger } from '../logger.ts'

/** How long the process may live after its work is done, in ms. */
const GRACE_MS = 2_000

/**
 * Sets the exit code and lets the process end by itself, so that nothing written is lost. Should something still hold it
 * after the grace, that is a fault: it is logged, and the process ends all the same.
 */
export function endWith(exitCode: number): void {
  process.exitCode = exitCode
  const timer = setTimeout(() => {
    getLogger().error({ held_by: process.getActiveResourcesInfo() }, 'the process did not end by itself')
    setImmediate(() => process.exit())
  }, GRACE_MS)
  timer.unref()
}
