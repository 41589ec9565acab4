import type { Writable } from 'node:stream'

/** What a terminal obeys instead of showing it: C1 controls and DEL, and marks that turn the direction of what follows. */
const OBEYED = /[\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** True when what is written is shown to a person. */
export function isTerminal(stream: Writable): boolean {
  return 'isTTY' in stream && stream.isTTY === true
}

/** Text of JSON lines as a terminal may get it: the same JSON, with escapes for what a terminal would obey. */
export function harmless(text: string): string {
  return text.replace(OBEYED, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
