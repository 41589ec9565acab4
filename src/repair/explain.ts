import type { AnyCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { describeFields, type FieldInfo } from '../contract/introspect.ts'
import type { Json, JsonObject } from '../contract/json.ts'
import type { Defaults, Issue } from '../contract/try-parse.ts'
import { suggest } from './names.ts'
import { fieldsAt, fieldsOfRequest, type Problem, problemsOf } from './problems.ts'
import { repair } from './request.ts'
import type { Repair } from './settle.ts'
import { isSecret, kindOf, phrase, shortPhrase, shown } from './wording.ts'

const MAX_ALSO = 5

/** A larger `fix` is left out: it would cost its reader more than mending one field of the own request. */
const MAX_FIX_CHARACTERS = 16_384

/** An unknown name, with the field that was probably meant. */
type Explained = Problem & { readonly nearest?: string }

/** The error for a request that does not parse: the first problem in words, the others in short, the repair as `fix`. */
export function explain(
  command: AnyCommand,
  raw: JsonObject,
  defaults: Defaults,
  issues: readonly Issue[],
): SwarmError {
  const fields = fieldsOfRequest(command)
  const { fieldAliases = {} } = command
  const problems = problemsOf(command, raw, issues).map((each) =>
    withNearest(each, fields, raw, fieldAliases),
  )
  const [first, ...others] = inOrder(problems)
  if (!first) return new SwarmError('INVALID', 'the request is not valid')
  const also = others.slice(0, MAX_ALSO).map((problem) => sentence(command, problem))
  return new SwarmError('INVALID', sentence(command, first), {
    ctx: {
      kind: first.kind,
      field: first.field,
      expected: expected(command, first),
      ...got(first),
      ...(first.nearest === undefined ? {} : { nearest: first.nearest }),
      ...(also.length > 0 ? { also } : {}),
    },
    ...asFix(repair(command, raw, defaults)),
  })
}

/** A repair as the options of an error. */
export function asFix(repaired: Repair | undefined): { fix?: Repair['request']; needs?: readonly string[] } {
  if (!repaired) return {}
  const { request: fix, needs } = repaired
  return JSON.stringify(fix).length > MAX_FIX_CHARACTERS ? { needs } : { fix, needs }
}

function withNearest(
  problem: Problem,
  fields: readonly FieldInfo[],
  raw: JsonObject,
  aliases: Readonly<Record<string, string>>,
): Explained {
  if (problem.kind !== 'UnknownField') return problem
  const name = String(problem.path.at(-1))
  const all = fieldsAt(fields, problem.path.slice(0, -1))
  const free = problem.path.length === 1 ? all.filter((field) => raw[field.name] === undefined) : all
  const value = problem.value ?? null
  const found = suggest(name, value, free, aliases) ?? suggest(name, value, all, aliases)
  return found ? { ...problem, nearest: found.name } : problem
}

/** A misspelt name comes first and stands for the field that is missing because of it. */
function inOrder(problems: readonly Explained[]): readonly Explained[] {
  const misspelt = problems.filter((problem) => problem.nearest !== undefined)
  const covered = new Set(
    misspelt.map((problem) => JSON.stringify([...problem.path.slice(0, -1), problem.nearest])),
  )
  const rest = problems.filter(
    (problem) =>
      problem.nearest === undefined &&
      !(problem.kind === 'MissingField' && covered.has(JSON.stringify(problem.path))),
  )
  return [...misspelt, ...rest]
}

function sentence(command: AnyCommand, problem: Explained): string {
  const { kind, field, value, shape, rule } = problem
  switch (kind) {
    case 'UnknownField': {
      const owner = problem.path.length === 1 ? command.name : field.replace(/\.[^.]*$/, '')
      const hint = problem.nearest === undefined ? '' : `; did you mean ${problem.nearest}?`
      return `${owner} has no field ${String(problem.path.at(-1)).slice(0, 80)}${hint}`
    }
    case 'MissingField':
      return rule === undefined ? `${field} is missing: it must be ${shortPhrase(shape)}` : ruled(field, rule)
    case 'InvalidType':
      return `${field} must be ${shortPhrase(shape)}, not ${kindOf(value)}`
    case 'InvalidValue':
      if (rule !== undefined) return ruled(field, rule)
      return value === ''
        ? `${field} must not be empty`
        : `${field} must be ${shortPhrase(shape)}, not ${measured(problem)}`
    default:
      return ruled(field, rule ?? 'is not valid')
  }
}

function ruled(field: string, rule: string): string {
  return field === '' || rule.includes(field) ? rule : `${field} ${rule}`
}

function expected(command: AnyCommand, problem: Explained): string {
  if (problem.kind === 'UnknownField') {
    const names = namesAt(command, problem.path.slice(0, -1))
    return names.length > 0 ? `one of ${names.join(', ')}` : 'no fields of its own'
  }
  return problem.rule ?? phrase(problem.shape)
}

/** The names that a verb itself, or an object inside its request, knows; the common ones go without saying. */
function namesAt(command: AnyCommand, path: readonly PropertyKey[]): readonly string[] {
  return fieldsAt(describeFields(command.input), path).map((field) => field.name)
}

function got({ kind, field, path, value }: Problem): { got?: Json } {
  if (kind === 'UnknownField') return { got: String(path.at(-1)).slice(0, 80) }
  return value === undefined ? {} : { got: shown(field, value) }
}

/** What is wrong with a value of the right type: its length if that is it, else the value. */
function measured({ field, value = null, shape }: Problem): string {
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY } = shape ?? {}
  if (!isSecret(field, '') && (typeof value === 'string' || Array.isArray(value))) {
    const { length } = value
    const unit = typeof value === 'string' ? 'characters' : 'items'
    if (length < minLength || length > maxLength) return length === 0 ? 'empty' : `${length} ${unit}`
  }
  return JSON.stringify(shown(field, value))
}
