import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { isJsonObject, type JsonObject } from '../contract/json.ts'
import { readLines } from '../ndjson.ts'
import { beadsFormat } from './beads-format.ts'
import { swarmFormat } from './swarm-format.ts'
import type { BacklogFormat, Format, ImportBead, ImportLink, ParseOptions } from './types.ts'

export const FORMATS: Readonly<Record<BacklogFormat, Format>> = { beads: beadsFormat, swarm: swarmFormat }

/** Where the tracker keeps its lines. */
const USUAL = ['.beads/issues.jsonl', '.beads/beads.jsonl']

export interface Problem {
  readonly line: number
  readonly kind: string
  readonly msg: string
}

export interface BacklogFile {
  readonly format: BacklogFormat
  /** Lines that are not blank. */
  readonly lines: number
  readonly beads: readonly ImportBead[]
  readonly links: readonly (ImportLink & { readonly line: number })[]
  /** The lines that were left out, with why. */
  readonly problems: readonly Problem[]
}

export interface ReadOptions extends ParseOptions {
  /** Found out from the first good line when absent. */
  readonly format?: BacklogFormat | undefined
}

/** Reads a backlog. A bad line is left out and reported by its number; a bead that stands twice counts where it stands first. */
export async function readBacklog(file: string, options: ReadOptions): Promise<BacklogFile> {
  const beads = new Map<string, { readonly bead: ImportBead; readonly line: number }>()
  const links: (ImportLink & { line: number })[] = []
  const problems: Problem[] = []
  let format = options.format
  let lines = 0
  for await (const { line, value, error } of readLines(file)) {
    lines += 1
    const bad = (kind: string, msg: string) => problems.push({ line, kind, msg })
    if (error !== undefined) {
      bad('unreadable', error)
    } else if (!isJsonObject(value)) {
      bad('unreadable', 'not a JSON object')
    } else {
      format ??= formatOf(value)
      try {
        const parsed = FORMATS[format].parse(value, options)
        const known = beads.get(parsed.bead.bead_id)
        if (known) {
          bad('duplicate', `${parsed.bead.bead_id} stands on line ${known.line} already`)
          continue
        }
        beads.set(parsed.bead.bead_id, { bead: parsed.bead, line })
        links.push(...parsed.links.map((link) => ({ ...link, line })))
      } catch (fault) {
        bad('wrong', fault instanceof Error ? fault.message : String(fault))
      }
    }
  }
  return {
    format: format ?? 'beads',
    lines,
    beads: [...beads.values()].map(({ bead }) => bead),
    links,
    problems,
  }
}

function formatOf(value: JsonObject): BacklogFormat {
  return value.id === undefined && value.bead_id !== undefined ? 'swarm' : 'beads'
}

/** The file that a request names, relative to where it was sent from. One that cannot be read is INVALID, with a likely other as fix. */
export function backlogPath(ctx: CommandContext, path: string, request: JsonObject): string {
  const file = resolve(ctx.cwd, path)
  const stat = statSync(file, { throwIfNoEntry: false })
  if (stat?.isFile()) return file
  const likely = stat?.isDirectory() ? inside(file) : beside(ctx, file)
  const shown = likely && relative(ctx.cwd, likely)
  throw new SwarmError('INVALID', stat ? `${path} is not a file` : `there is no file ${path}`, {
    ctx: { kind: 'InvalidValue', field: 'path', expected: 'a file of JSON lines', got: path },
    ...(shown ? { fix: { ...request, cmd: 'import', path: shown } } : {}),
    ...(shown ? {} : { needs: ['path'] }),
  })
}

function inside(directory: string): string | undefined {
  const usual = USUAL.map((name) => join(directory, name)).find((file) => existsSync(file))
  return usual ?? (only(jsonLinesIn(directory)) || undefined)
}

function beside(ctx: CommandContext, file: string): string | undefined {
  const directories = [ctx.cwd, ...(ctx.root ? [ctx.root.path] : [])]
  const usual = directories.flatMap((directory) => USUAL.map((name) => join(directory, name)))
  const neighbours = jsonLinesIn(dirname(file))
  const similar = neighbours.find((other) => stem(other) === stem(file))
  return similar ?? usual.find((other) => existsSync(other)) ?? only(neighbours)
}

function jsonLinesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.(jsonl|ndjson)$/.test(name))
      .map((name) => join(directory, name))
  } catch {
    return []
  }
}

function only(files: readonly string[]): string | undefined {
  return files.length === 1 ? files[0] : undefined
}

function stem(file: string): string {
  return basename(file)
    .toLowerCase()
    .replace(/\.[^.]*$/, '')
}
