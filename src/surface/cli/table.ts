import type { Envelope } from '../../contract/envelope.ts'
import { isJsonObject, type Json, type JsonObject } from '../../contract/json.ts'
import { cut, displayWidth, oneLine, pad } from '../../terminal/width.ts'

export interface TableOptions {
  /** Columns of the terminal; `Infinity` cuts nothing. */
  readonly width: number
  readonly colour: boolean
}

/** An envelope for people: rows as columns, objects as lines, errors with what to do next. */
export function formatEnvelope(envelope: Envelope, options: TableOptions): string {
  const style = styles(options.colour)
  if (!envelope.ok) {
    const { code, msg, ctx = {} } = envelope.err
    return [
      `${style.bad(code)}  ${oneLine(msg)}`,
      ...keyValues(ctx, options, '  '),
      ...(envelope.fix === undefined ? [] : [`${style.strong('try')}  ${oneLine(envelope.fix)}`]),
    ].join('\n')
  }
  const { state, next } = envelope
  return [
    ...formatValue(envelope.d, options),
    ...(state ? [`${state.active} active of ${state.total}`] : []),
    ...(next === undefined ? [] : [`${style.strong('next')}  ${oneLine(next)}`]),
  ].join('\n')
}

function formatValue(value: Json, options: TableOptions): string[] {
  if (isJsonObject(value)) return formatObject(value, options)
  if (!isList(value)) return [cell(value)]
  if (value.length === 0) return ['(none)']
  return isRows(value) ? formatRows(value, options) : value.map((item) => cell(item))
}

/** Plain fields as lines first, then each list of rows under its name. */
function formatObject(object: JsonObject, options: TableOptions): string[] {
  const style = styles(options.colour)
  const entries = Object.entries(object).filter(([, value]) => value !== undefined)
  const tables = entries.filter(([, value]) => isRows(value))
  const plain = entries.filter((entry) => !tables.includes(entry))
  const lines = keyValues(Object.fromEntries(plain), options, '')
  for (const [name, rows] of tables) {
    if (!isRows(rows)) continue
    if (lines.length > 0) lines.push('')
    if (tables.length > 1 || plain.length > 0) lines.push(style.strong(name))
    lines.push(...formatRows(rows, options))
  }
  return lines.length > 0 ? lines : ['(nothing)']
}

function keyValues(object: JsonObject, { width, colour }: TableOptions, indent: string): string[] {
  const entries = Object.entries(object).flatMap(([name, value]) =>
    value === undefined ? [] : [{ name, value }],
  )
  const names = Math.max(0, ...entries.map(({ name }) => displayWidth(name)))
  const style = styles(colour)
  return entries.map(({ name, value }) => {
    const room = Math.max(20, width - names - 2 - indent.length)
    return `${indent}${style.dim(pad(name, names, 'right'))}  ${cut(cell(value), room)}`.trimEnd()
  })
}

function formatRows(rows: readonly JsonObject[], { width, colour }: TableOptions): string[] {
  const style = styles(colour)
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
    .filter((name) => rows.some((row) => row[name] !== undefined && row[name] !== null))
    .map((name) => {
      const cells = rows.map((row) => cell(row[name]))
      const isNumber = rows.every((row) => row[name] === undefined || typeof row[name] === 'number')
      const natural = Math.max(...[name, ...cells].map(displayWidth))
      return { name, cells, side: isNumber ? ('left' as const) : ('right' as const), natural }
    })
  const widths = narrow(
    columns.map(({ natural }) => natural),
    width,
  )
  const line = (texts: readonly string[]) =>
    texts
      .map((text, at) => pad(cut(text, widths[at] ?? 0), widths[at] ?? 0, columns[at]?.side ?? 'right'))
      .join('  ')
      .trimEnd()
  return [
    style.strong(line(columns.map(({ name }) => name))),
    ...rows.map((_, at) => line(columns.map(({ cells }) => cells[at] ?? ''))),
  ]
}

/** Narrows the widest columns, never below 8, until the row fits. */
function narrow(widths: readonly number[], total: number): number[] {
  const fitted = [...widths]
  const room = total - 2 * (widths.length - 1)
  for (;;) {
    const over = fitted.reduce((sum, width) => sum + width, 0) - room
    const widest = Math.max(...fitted)
    if (over <= 0 || widest <= 8) return fitted
    const at = fitted.indexOf(widest)
    const second = Math.max(8, ...fitted.filter((width) => width < widest))
    fitted[at] = Math.max(second, widest - over, 8) === widest ? widest - 1 : Math.max(second, widest - over)
  }
}

function cell(value: Json | undefined): string {
  if (value === undefined || value === null) return ''
  if (typeof value === 'string') return oneLine(value)
  if (isList(value) && value.every((item) => typeof item !== 'object'))
    return value.map((item) => cell(item)).join(', ')
  return oneLine(JSON.stringify(value))
}

function isList(value: Json | undefined): value is readonly Json[] {
  return typeof value === 'object' && value !== null && !isJsonObject(value)
}

function isRows(value: Json | undefined): value is readonly JsonObject[] {
  return isList(value) && value.length > 0 && value.every(isJsonObject)
}

function styles(colour: boolean) {
  const style = (code: number) => (text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text)
  return { strong: style(1), dim: style(2), bad: style(31) }
}
