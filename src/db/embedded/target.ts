import type { EmbeddedAddress, EmbeddedTarget } from '../client/target.ts'
import { type EmbeddedServer, embeddedPointer, ensureEmbedded } from './index.ts'

/**
 * The embedded server as something to connect to: at once where it was last started, which costs one small read;
 * `ensure` starts it when nobody answers there. Never started or known to have stopped, it is started now.
 */
export async function embeddedTarget(
  swarmDir: string,
  idleStopMs: number | undefined,
): Promise<EmbeddedTarget> {
  const last = await embeddedPointer(swarmDir)
  const ensure = async () => address(await ensureEmbedded(swarmDir, { idleStopMs }))
  return { kind: 'embedded', ...(last?.pid ? address(last) : await ensure()), ensure }
}

function address({ socketDir, port, user, database }: EmbeddedServer): EmbeddedAddress {
  return { host: socketDir, port, user, database }
}
