const LONGEST_REASON = 200

/** One short line of any text; what would turn the direction of reading is left out, so that no text can pass for another. */
export function cut(text: string, longest = LONGEST_REASON): string {
  const line = text
    .replace(/\s+/g, ' ')
    .replace(/[\p{Cc}\p{Bidi_Control}]/gu, '')
    .trim()
    .toWellFormed()
  return line.length <= longest ? line : `${line.slice(0, longest - 1).toWellFormed()}…`
}

/** `: reason`, or nothing. */
export function because(reason: string | undefined): string {
  return reason === undefined || reason.trim() === '' ? '' : `: ${cut(reason)}`
}

/** ` after N iterations`, or nothing. */
export function after(iterations: number): string {
  return iterations === 0 ? '' : ` after ${iterations} ${iterations === 1 ? 'iteration' : 'iterations'}`
}
