import type { AnyCommand } from '../contract/command.ts'
import { commonFields, writeFields } from '../contract/common.ts'
import type { FieldErrorKind } from '../contract/errors.ts'
import { describeFields, type FieldInfo, type Shape } from '../contract/introspect.ts'
import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'
import { aliasOf, type Issue } from '../contract/try-parse.ts'

/** A longer path is somebody's data, not a name. */
const MAX_FIELD = 200

/** One thing that is wrong with a request. */
export interface Problem {
  readonly kind: FieldErrorKind
  /** Where, as zod counts: `['beads', 0, 'title']`; for an unknown field the last key is its name. */
  readonly path: readonly PropertyKey[]
  /** Where, as it is written: `beads[0].title`, under the name that the sender used. */
  readonly field: string
  readonly value: Json | undefined
  /** What the place takes; undefined where it takes nothing. */
  readonly shape: Shape | undefined
  /** What the schema itself says of it, when it says more than its shape does: "must not be blank". */
  readonly rule?: string
}

/** Every field that a request of this verb may carry, its own first. */
export function fieldsOfRequest(command: AnyCommand): readonly FieldInfo[] {
  return [
    ...describeFields(command.input),
    ...describeFields(commonFields),
    ...(command.effect === 'read' ? [] : describeFields(writeFields)),
  ]
}

/** What zod found, one problem for each field, in zod's order. */
export function problemsOf(
  command: AnyCommand,
  raw: JsonObject,
  issues: readonly Issue[],
): readonly Problem[] {
  const root = new Reading(command, raw)
  const seen = new Set<string>()
  return issues
    .flatMap((issue) => root.read(issue, []))
    .filter((problem) => {
      const first = !seen.has(problem.field)
      seen.add(problem.field)
      return first
    })
}

/** Reads issues against the request and the schemas they came from. */
class Reading {
  readonly #command: AnyCommand
  readonly #raw: JsonObject
  readonly #fields: readonly FieldInfo[]

  constructor(command: AnyCommand, raw: JsonObject) {
    this.#command = command
    this.#raw = raw
    this.#fields = fieldsOfRequest(command)
  }

  read(issue: Issue, base: readonly PropertyKey[]): readonly Problem[] {
    const path = [...base, ...issue.path]
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.map((key) => this.#problem('UnknownField', [...path, key]))
      case 'invalid_union':
        return this.#readUnion(issue.errors, path)
      case 'custom':
        return [{ ...this.#problem(this.#kindOfCustom(issue, path), path), rule: issue.message }]
      default:
        break
    }
    const value = this.#valueAt(path)
    const kind =
      value === undefined
        ? 'MissingField'
        : this.#isWrongType(issue, value, path)
          ? 'InvalidType'
          : 'InvalidValue'
    const mayHaveRule = issue.code === 'invalid_format' || issue.code === 'invalid_value'
    const rule = mayHaveRule && !issue.message.startsWith('Invalid') ? issue.message : undefined
    return [{ ...this.#problem(kind, path), ...(rule === undefined ? {} : { rule }) }]
  }

  /** Of a union, the branch that got furthest says what is wrong; if none got anywhere, it is the type. */
  #readUnion(branches: readonly (readonly Issue[])[], path: readonly PropertyKey[]): readonly Problem[] {
    const value = this.#valueAt(path)
    if (value === undefined) return [this.#problem('MissingField', path)]
    const depth = (branch: readonly Issue[]) => branch[0]?.path.length ?? 0
    const deepest = [...branches].sort((a, b) => depth(b) - depth(a))[0]
    const reached =
      deepest && depth(deepest) > 0
        ? deepest
        : branches.find((branch) => branch.every((issue) => !isTypeIssue(issue, value)))
    if (!reached) return [this.#problem('InvalidType', path)]
    return reached.flatMap((issue) => this.read(issue, path))
  }

  #kindOfCustom(issue: Issue, path: readonly PropertyKey[]): FieldErrorKind {
    return path.length > 0 && this.#valueAt(path) === undefined && issue.code === 'custom'
      ? 'MissingField'
      : 'Custom'
  }

  #isWrongType(issue: Issue, value: Json, path: readonly PropertyKey[]): boolean {
    const shape = this.#shapeAt(path)
    return shape?.type === 'enum' ? typeof value !== 'string' : isTypeIssue(issue, value)
  }

  #problem(kind: FieldErrorKind, path: readonly PropertyKey[]): Problem {
    return { kind, path, field: this.#nameOf(path), value: this.#valueAt(path), shape: this.#shapeAt(path) }
  }

  /** The first key as the sender wrote it, when an alias stands for it. */
  #sent(key: PropertyKey): PropertyKey {
    const aliases = this.#command.fieldAliases ?? {}
    if (this.#raw[String(key)] !== undefined) return key
    const alias = Object.keys(aliases).find(
      (name) => this.#raw[name] !== undefined && aliasOf(aliases, name, this.#raw) === key,
    )
    return alias ?? key
  }

  #nameOf([first = '', ...rest]: readonly PropertyKey[]): string {
    return rest
      .reduce<string>(
        (path, key) => (typeof key === 'number' ? `${path}[${key}]` : `${path}.${String(key)}`),
        String(this.#sent(first)),
      )
      .slice(0, MAX_FIELD)
  }

  #valueAt([first = '', ...rest]: readonly PropertyKey[]): Json | undefined {
    let value: Json | undefined = this.#raw[String(this.#sent(first))]
    for (const key of rest) value = childOf(value, key)
    return value
  }

  #shapeAt(path: readonly PropertyKey[]): Shape | undefined {
    let shape: Shape | undefined = { type: 'object', fields: this.#fields }
    for (const key of path) shape = shape && childShape(shape, key)
    return shape
  }
}

/** The fields that an object at `path` may have; used to suggest one for an unknown name. */
export function fieldsAt(fields: readonly FieldInfo[], path: readonly PropertyKey[]): readonly FieldInfo[] {
  let shape: Shape | undefined = { type: 'object', fields }
  for (const key of path) shape = shape && childShape(shape, key)
  return shape?.fields ?? shape?.variants?.find((variant) => variant.fields)?.fields ?? []
}

function childShape(shape: Shape, key: PropertyKey): Shape | undefined {
  if (shape.variants) {
    return shape.variants.map((variant) => childShape(variant, key)).find((found) => found !== undefined)
  }
  return typeof key === 'number' ? shape.items : shape.fields?.find((field) => field.name === key)
}

function childOf(value: Json | undefined, key: PropertyKey): Json | undefined {
  if (Array.isArray(value)) return typeof key === 'number' ? value[key] : undefined
  return isJsonObject(value) && Object.hasOwn(value, key) ? value[String(key)] : undefined
}

function isTypeIssue(issue: Issue, value: Json): boolean {
  if (issue.code === 'invalid_type') return true
  return issue.code === 'invalid_value' && typeof value !== typeof issue.values[0]
}
