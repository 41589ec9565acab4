import { type ErrorArea, type FixRequest, isErrorCode, SwarmError } from './errors.ts'
import { isJsonObject, type JsonObject } from './json.ts'

const AREAS: readonly string[] = [
  'configuration',
  'request',
  'database',
  'claim',
  'stage',
  'other',
] satisfies ErrorArea[]

/** A refusal as the functions of schema.sql answer it, made an error. */
export function refusalToError(refused: unknown): SwarmError {
  if (!isJsonObject(refused))
    return new SwarmError('INTERNAL', 'the database refused without saying why', { area: 'database' })
  const { code, area, msg, ctx, fix, needs } = refused
  return new SwarmError(typeof code === 'string' && isErrorCode(code) ? code : 'INTERNAL', String(msg), {
    ...(isArea(area) ? { area } : {}),
    ...(isJsonObject(ctx) ? { ctx } : {}),
    ...(isFix(fix) ? { fix } : {}),
    ...(Array.isArray(needs) ? { needs: needs.map(String) } : {}),
  })
}

function isArea(value: unknown): value is ErrorArea {
  return typeof value === 'string' && AREAS.includes(value)
}

function isFix(value: unknown): value is FixRequest & JsonObject {
  return isJsonObject(value) && typeof value.cmd === 'string'
}
