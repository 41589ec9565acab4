const NAMES = [
  ...['bg', 'panel', 'line', 'text', 'dim', 'fail', 'ink', 'critical'],
  ...['ready', 'running', 'waiting', 'blocked', 'done'],
  ...['contract', 'implement', 'qa', 'red-queen', 'land', 'other'],
] as const

/** The colours of the theme for what is drawn on canvas. */
export const colours: Record<string, string> = {}

export function readColours(): void {
  const style = getComputedStyle(document.documentElement)
  for (const name of NAMES) colours[name] = style.getPropertyValue(`--${name}`).trim()
}

export function colourOf(name: string): string {
  return colours[name] ?? colours.other ?? '#888'
}
