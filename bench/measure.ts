import { spawnSync } from 'node:child_process'

/** The middle value; of an even number of values the lower of the two. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The value below which a share of the values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? Number.NaN
}

/** Milliseconds that a command takes, over `runs` runs after one that warms the caches. Throws when it fails. */
export function timeCommand(
  argv: readonly string[],
  runs: number,
  env: NodeJS.ProcessEnv,
  cwd?: string,
): number[] {
  const [file = '', ...args] = argv
  const once = () => {
    const started = performance.now()
    const { status, stderr, stdout } = spawnSync(file, args, { env, cwd, encoding: 'utf8' })
    const ms = performance.now() - started
    if (status !== 0) throw new Error(`${argv.join(' ')} ended with ${status}: ${stderr || stdout}`)
    return ms
  }
  once()
  return Array.from({ length: runs }, once)
}

/** The first of these programs that runs, or null. */
export function findProgram(name: string): string | null {
  const places = [name, ...[18, 17, 16, 15, 14].map((major) => `/usr/lib/postgresql/${major}/bin/${name}`)]
  return places.find((place) => spawnSync(place, ['--version']).status === 0) ?? null
}

export interface Row {
  readonly what: string
  readonly value: string
  readonly against?: string
  readonly ratio?: string
  readonly goal?: string
  readonly met?: boolean
}

export interface Section {
  readonly title: string
  readonly how: string
  readonly rows: readonly Row[]
}
