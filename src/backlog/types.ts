import type { JsonObject } from '../contract/json.ts'

/** The file formats of a backlog: the beads tracker's, and swarm's own. */
export const BACKLOG_FORMATS = ['beads', 'swarm'] as const
export type BacklogFormat = (typeof BACKLOG_FORMATS)[number]

/** A bead as `swarm.do_import` takes it. */
export interface ImportBead {
  readonly bead_id: string
  readonly title: string
  readonly description: string
  readonly priority: string
  readonly status: string
  readonly bead_type: string
  readonly labels: readonly string[]
  readonly metadata: JsonObject
  readonly created_at?: string | undefined
  readonly updated_at?: string | undefined
  readonly finished_at?: string | undefined
}

/** `bead_id` waits for `other_id` when the kind is `blocks` or `parent-child`; otherwise the two just belong together. */
export interface ImportLink {
  readonly bead_id: string
  readonly other_id: string
  readonly kind: string
}

/** What one line of a file says. */
export interface ParsedLine {
  readonly bead: ImportBead
  readonly links: readonly ImportLink[]
}

/** A bead as `swarm.export_beads` gives it. */
export interface ExportRow extends ImportBead {
  readonly links: readonly ImportLink[]
}

export interface ParseOptions {
  /** Makes finished beads pending. */
  readonly reopen: boolean
}

/** One format, both ways. `parse` throws an Error that says in a few words what is wrong with the line. */
export interface Format {
  parse(value: JsonObject, options: ParseOptions): ParsedLine
  write(row: ExportRow): JsonObject
}
