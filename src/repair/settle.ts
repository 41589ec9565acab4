import type { AnyCommand } from '../contract/command.ts'
import type { FixRequest } from '../contract/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'
import { type Defaults, tryParse } from '../contract/try-parse.ts'
import { problemsOf } from './problems.ts'
import { isBlank } from './reshape.ts'

/** A request as it would work, and the fields that only its sender can fill in. */
export interface Repair {
  readonly request: FixRequest
  /** Paths like `beads[0].title`. Empty when the request parses as it stands. */
  readonly needs: readonly string[]
}

const MAX_ROUNDS = 12

/** Takes out what still does not parse, until the rest does or only missing fields are left. */
export function settle(
  command: AnyCommand,
  repaired: JsonObject,
  defaults: Defaults,
  needs: Set<string>,
): Repair | undefined {
  let request: JsonObject = repaired
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const { cmd: _cmd, ...fields } = request
    const done = { request: { cmd: command.name, ...fields }, needs: [...needs] }
    const attempt = tryParse(command, request, defaults)
    if ('parsed' in attempt) return done
    const problems = problemsOf(command, request, attempt.issues)
    const wrong = problems.filter((problem) => problem.kind !== 'MissingField')
    for (const problem of problems) {
      if (problem.kind === 'MissingField') needs.add(problem.field)
    }
    if (wrong.length === 0) return { ...done, needs: [...needs] }
    for (const problem of wrong.reverse()) {
      if (problem.path.length === 0) return undefined
      if (!isBlank(problem.value ?? null)) needs.add(problem.field)
      request = withoutKey(request, problem.path)
    }
  }
  return undefined
}

function withoutKey(value: JsonObject, path: readonly PropertyKey[]): JsonObject {
  // safe: a value with something taken out of it is of the same kind, and an object went in
  return without(value, path) as JsonObject
}

function without(value: Json, [key, ...rest]: readonly PropertyKey[]): Json {
  if (Array.isArray(value)) {
    return rest.length === 0
      ? value.filter((_, at) => at !== key)
      : value.map((item, at) => (at === key ? without(item, rest) : item))
  }
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]): [string, Json][] => {
      if (item === undefined) return []
      if (name !== key) return [[name, item]]
      return rest.length === 0 ? [] : [[name, without(item, rest)]]
    }),
  )
}
