import type { Rules } from './rules.ts'
import type { HostFacts, ReadyBead, SessionFacts, Snapshot } from './snapshot.ts'

export function openSessions({ sessions }: Snapshot): readonly SessionFacts[] {
  return sessions.filter(({ ended_ms }) => ended_ms === null)
}

/** A host that heard from us lately and takes new work. */
export function isUsable(host: HostFacts, rules: Rules): boolean {
  return !host.draining && host.silent_ms < rules.host_lost_ms
}

/** The host for a bead: the one that has its worktree, else the one with most room. Undefined with the reason when there is none. */
export function chooseHost(
  bead: ReadyBead,
  role: string,
  adapter: string,
  snapshot: Snapshot,
  rules: Rules,
  taken: ReadonlyMap<string, number>,
):
  | { readonly host: HostFacts }
  | { readonly why: 'no_host' | 'no_adapter' | 'disk' | 'limit'; readonly detail: string } {
  const usable = snapshot.hosts.filter((host) => isUsable(host, rules))
  if (usable.length === 0) {
    const draining = snapshot.hosts.some((host) => host.draining && host.silent_ms < rules.host_lost_ms)
    return {
      why: 'no_host',
      detail: draining ? 'every host is draining: it takes no new sessions' : 'no host is there',
    }
  }
  const able = usable.filter(({ adapters }) => adapters[adapter]?.version !== undefined)
  if (able.length === 0) {
    const missing = usable.map(({ adapters }) => adapters[adapter]?.missing).find((why) => why !== undefined)
    return { why: 'no_adapter', detail: `no host can run ${adapter}${missing ? `: ${missing}` : ''}` }
  }
  const roomy = able.filter(({ free_disk_mb: free }) => free === null || free >= rules.min_free_disk_mb)
  if (roomy.length === 0)
    return { why: 'disk', detail: `less than ${rules.min_free_disk_mb} MB of disk are free` }
  const home = bead.workspace?.split(':')[0]
  const free = (host: HostFacts) => {
    const ofRole =
      (host.capacity[role] ?? host.capacity['*'] ?? 0) - (taken.get(`${host.host_id} ${role}`) ?? 0)
    const ofHost = (rules.limits.host ?? Number.POSITIVE_INFINITY) - (taken.get(host.host_id) ?? 0)
    return Math.min(ofRole, ofHost)
  }
  const open = roomy.filter((host) => free(host) > 0)
  // a worktree is on one host: while that host lives, the bead waits for it
  const at = home === undefined ? undefined : usable.find(({ host_id }) => host_id === home)
  if (at && !open.includes(at))
    return { why: 'limit', detail: `its worktree is on ${home}, which has no free slot for ${role}` }
  if (at) return { host: at }
  const [best] = [...open].sort((a, b) => free(b) - free(a) || (a.host_id < b.host_id ? -1 : 1))
  return best
    ? { host: best }
    : { why: 'limit', detail: `every host runs as many ${role} sessions as it may` }
}
