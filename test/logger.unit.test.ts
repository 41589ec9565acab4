import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { createLogger } from '../src/logger.ts'

function collect(level?: string) {
  const lines: string[] = []
  let loads = 0
  const log = createLogger(level, async (at) => {
    loads += 1
    return pino({ level: at }, { write: (line: string) => lines.push(line) })
  })
  return { log, lines, loads: () => loads }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('the log', () => {
  it('writes nothing below its level and loads nothing for it', async () => {
    const { log, lines, loads } = collect()
    log.debug({}, 'quiet')
    log.info({}, 'quiet')
    await settled()
    expect({ lines, loads: loads() }).toEqual({ lines: [], loads: 0 })
    log.warn({ n: 1 }, 'loud')
    log.error({}, 'louder')
    await settled()
    expect(loads()).toBe(1)
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { level: 40, n: 1, msg: 'loud' },
      { level: 50, msg: 'louder' },
    ])
  })

  it.each([
    ['debug', 3],
    ['INFO', 2],
    ['silent', 0],
    ['nonsense', 1],
  ])('takes the level %s', async (level, count) => {
    const { log, lines } = collect(level)
    log.debug({}, 'd')
    log.info({}, 'i')
    log.warn({}, 'w')
    await settled()
    expect(lines).toHaveLength(count)
  })

  it('hides every password', async () => {
    const { log, lines } = collect()
    const url = 'postgres://u:s3cret@h/d'
    const cause = new Error(`connecting to ${url}`)
    log.error(
      {
        err: new Error('password=s3cret', { cause }),
        url,
        database_url: url,
        deep: [{ password: 's3cret', api_token: 's3cret' }],
      },
      `cannot reach ${url}`,
    )
    await settled()
    expect(lines).toHaveLength(1)
    expect(lines[0]).not.toContain('s3cret')
    expect(lines[0]).toContain('u:***@h/d')
    expect(lines[0]).toContain('logger.unit.test.ts')
  })

  it('survives what cannot be written', async () => {
    const { log } = collect()
    const loop: Record<string, unknown> = { n: 1n }
    loop.self = loop
    log.warn(loop, 'round')
    const broken = createLogger('warn', async () => {
      throw new Error('no log')
    })
    broken.warn({}, 'lost')
    await settled()
  })
})
