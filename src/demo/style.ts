import { cut, oneLine, pad } from '../terminal/width.ts'

/** Colours and signs of the terminal at hand. */
export interface Style {
  dim(text: string): string
  bold(text: string): string
  red(text: string): string
  green(text: string): string
  yellow(text: string): string
  cyan(text: string): string
  readonly signs: typeof UNICODE
}

const UNICODE = {
  working: '●',
  idle: '○',
  killed: '✗',
  done: '✓',
  full: '━',
  empty: '─',
  back: '←',
  cut: '…',
  dot: '·',
}
const ASCII: typeof UNICODE = {
  working: '*',
  idle: 'o',
  killed: 'x',
  done: '+',
  full: '=',
  empty: '-',
  back: '<-',
  cut: '~',
  dot: '-',
}

/** `colour` false (NO_COLOR, no terminal) leaves text as it is; an explicit non-UTF-8 locale gets ASCII signs. */
export function createStyle(colour: boolean, env: Readonly<Record<string, string | undefined>>): Style {
  const paint = (open: number, close: number) => (text: string) =>
    colour ? `\x1b[${open}m${text}\x1b[${close}m` : text
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG
  return {
    dim: paint(2, 22),
    bold: paint(1, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    cyan: paint(36, 39),
    signs: locale && !/utf-?8/i.test(locale) ? ASCII : UNICODE,
  }
}

/** One column of a line: its text is cut or filled to `width` columns before it is painted. */
export function column(text: string, width: number, mark: string): string {
  return width <= 0 ? '' : pad(cut(oneLine(text), width, mark), width, 'right')
}
