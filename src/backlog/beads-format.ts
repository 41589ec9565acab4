import * as z from 'zod'
import { LIMITS, text } from '../contract/fields.ts'
import type { Json, JsonObject } from '../contract/json.ts'
import {
  checkLine,
  checkMetadata,
  LONGEST_ID,
  lineLabels,
  linePriority,
  linkKind,
  optional,
  timeOf,
} from './checks.ts'
import type { ExportRow, Format, ImportLink } from './types.ts'

/** What the tracker's statuses are here (the table of statuses in the reference). */
const FROM_TRACKER: Readonly<Record<string, string>> = {
  open: 'pending',
  in_progress: 'pending',
  closed: 'completed',
  blocked: 'blocked',
  deferred: 'deferred',
  pinned: 'deferred',
  hooked: 'deferred',
  tombstone: 'cancelled',
}
const TO_TRACKER: Readonly<Record<string, string>> = {
  pending: 'open',
  in_progress: 'in_progress',
  completed: 'closed',
  blocked: 'blocked',
  failed: 'blocked',
  deferred: 'deferred',
  cancelled: 'tombstone',
}
/** Statuses that share one of ours with another: kept beside, so that an export gives them back. */
const SHARED = ['pinned', 'hooked']

const status = z
  .string()
  .transform((value) => value.trim().toLowerCase().replaceAll('-', '_'))
  .refine((value) => Object.hasOwn(FROM_TRACKER, value), {
    error: `must be one of ${Object.keys(FROM_TRACKER).join(', ')}`,
  })

const line = z.looseObject({
  id: text(LONGEST_ID),
  title: text(LIMITS.title),
  description: optional(z.string().max(LIMITS.description)),
  status: optional(status),
  priority: optional(linePriority),
  issue_type: optional(text(64)),
  labels: optional(lineLabels),
  dependencies: optional(
    z.array(
      z.looseObject({
        issue_id: optional(text(LONGEST_ID)),
        depends_on_id: text(LONGEST_ID),
        type: optional(text(64)),
      }),
    ),
  ),
})
/** Fields with a column of their own; whatever else a line says is metadata. */
const KNOWN = Object.keys(line.shape)
/** Holds the metadata of a bead some of whose names are those of a line's own fields. */
const WHOLE = 'swarm_metadata'

/** The JSON lines of the beads tracker. Its child names its parent; here the parent waits for the child. */
export const beadsFormat: Format = {
  parse(value, { reopen }) {
    const { id, title, description, priority, issue_type, labels, dependencies, ...fields } = checkLine(
      line,
      value,
    )
    const said = fields.status ?? 'open'
    const status = FROM_TRACKER[said] ?? 'pending'
    const rest = Object.entries(value).filter(([name]) => !KNOWN.includes(name))
    // `__proto__` stays a name like any other: fromEntries defines what it is given
    const others: JsonObject = Object.fromEntries(rest)
    const whole = others[WHOLE]
    return {
      bead: {
        bead_id: id,
        title,
        description: description ?? '',
        priority: priority ?? 'p2',
        status: reopen && status === 'completed' ? 'pending' : status,
        bead_type: issue_type ?? 'task',
        labels: labels ?? [],
        metadata: checkMetadata(
          isObject(whole) ? whole : { ...others, ...(SHARED.includes(said) ? { status: said } : {}) },
        ),
        created_at: timeOf(value.created_at),
        updated_at: timeOf(value.updated_at),
        finished_at: timeOf(value.closed_at) ?? timeOf(value.deleted_at),
      },
      links: (dependencies ?? []).map((dependency): ImportLink => {
        const from = dependency.issue_id ?? id
        const kind = linkKind(dependency.type ?? 'blocks')
        return kind === 'parent-child'
          ? { bead_id: dependency.depends_on_id, other_id: from, kind }
          : { bead_id: from, other_id: dependency.depends_on_id, kind }
      }),
    }
  },

  write(row) {
    const { bead_id, metadata } = row
    const clash = Object.keys(metadata).some((name) => name !== 'status' && KNOWN.includes(name))
    const said = metadata.status
    const wasShared = typeof said === 'string' && SHARED.includes(said)
    const whole = clash || WHOLE in metadata || (said !== undefined && !wasShared)
    const { status: _, created_at: __, updated_at: ___, closed_at: ____, ...rest } = metadata
    return {
      ...(whole ? { [WHOLE]: metadata } : rest),
      id: bead_id,
      title: row.title,
      ...(row.description === '' ? {} : { description: row.description }),
      status: wasShared && FROM_TRACKER[said] === row.status ? said : (TO_TRACKER[row.status] ?? 'open'),
      priority: Number(row.priority.slice(1)),
      issue_type: row.bead_type,
      ...times(row),
      ...(row.labels.length > 0 ? { labels: row.labels } : {}),
      ...(row.links.length > 0 ? { dependencies: row.links.map((link) => dependencyOf(bead_id, link)) } : {}),
    }
  },
}

/** Times as they came in, unless they have changed since. */
function times({ metadata, status, created_at, updated_at, finished_at }: ExportRow): JsonObject {
  const kept = (name: string, now: string | undefined): Json | undefined => {
    const was = timeOf(metadata[name])
    return was !== undefined && now !== undefined && Math.abs(Date.parse(was) - Date.parse(now)) <= 1
      ? was
      : now
  }
  return {
    created_at: kept('created_at', created_at),
    updated_at: kept('updated_at', updated_at),
    ...(status === 'completed' ? { closed_at: kept('closed_at', finished_at) } : {}),
  }
}

function dependencyOf(id: string, { bead_id, other_id, kind }: ImportLink): JsonObject {
  return { issue_id: id, depends_on_id: kind === 'parent-child' ? bead_id : other_id, type: kind }
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
