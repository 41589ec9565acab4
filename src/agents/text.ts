import type { Json } from '../contract/json.ts'

/** Characters of one text in an event. */
export const MAX_EVENT_TEXT = 65_536

/**
 * A text of at most `max` characters: its beginning and its end when it is longer. What is cut is copied, as a part of a string keeps
 * the whole of it in memory.
 */
export function cutText(text: string, max = MAX_EVENT_TEXT): string {
  if (text.length <= max) return text
  const head = Math.floor(max / 4)
  const tail = max - head
  return copy(`${text.slice(0, head)}\n[... ${text.length - max} characters cut ...]\n${text.slice(-tail)}`)
}

/** A value as text: strings as they are, anything else as JSON; cut. */
export function valueText(value: Json | undefined, max = MAX_EVENT_TEXT): string {
  if (value === undefined || value === null) return ''
  return cutText(typeof value === 'string' ? value : JSON.stringify(value), max)
}

const copy = (text: string) => Buffer.from(text, 'utf8').toString('utf8')
