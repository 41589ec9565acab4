/**
 * A bead's id as one component of a path and of a ref. Letters, digits, `_` and `-` stay; every other character, and a leading `-`,
 * becomes `=` with two or more hexadecimal digits and `=`; so two ids never share a name.
 */
export function pathName(beadId: string): string {
  const safe = [...beadId]
    .map((char, at) => (/[A-Za-z0-9_]/.test(char) || (char === '-' && at > 0) ? char : hex(char)))
    .join('')
  return safe.length < LONGEST ? safe : `${safe.slice(0, LONGEST - 9)}=${checksum(beadId)}`
}

/** The id that `pathName` made a name of; undefined for one that was shortened, or that it did not make. */
export function beadIdOf(name: string): string | undefined {
  const id = name.replace(/=([0-9a-f]{1,6})=/g, (_, code: string) => {
    const point = Number.parseInt(code, 16)
    return point <= 0x10ffff ? String.fromCodePoint(point) : ''
  })
  return pathName(id) === name ? id : undefined
}

/** True for a name that `pathName` has shortened: no other is as long. */
export function isShortened(name: string): boolean {
  return name.length === LONGEST
}

/** File systems allow 255 bytes; git adds `.lock`. */
const LONGEST = 200

function hex(char: string): string {
  return `=${(char.codePointAt(0) ?? 0).toString(16)}=`
}

/** FNV-1a over the code units; tells long names apart, no secret. */
function checksum(text: string): string {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}

/** The branch on which a bead's work is committed. */
export function branchOf(beadId: string): string {
  return `${BRANCHES}${pathName(beadId)}`
}

/** How the branches of beads begin. */
export const BRANCHES = 'swarm/'

/** What an ended session left behind. */
export function salvageRef(beadId: string, attempt: number, sessionId: string): string {
  return `refs/swarm/salvage/${pathName(beadId)}/${attempt}-${pathName(sessionId)}`
}

/** A commit that hosts hand on to each other, or that came after its fence had lapsed. */
export function candidateRef(beadId: string, commit: string): string {
  return `refs/swarm/candidate/${pathName(beadId)}/${commit}`
}
