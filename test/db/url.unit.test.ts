import { describe, expect, it } from 'vitest'
import { SwarmError } from '../../src/contract/errors.ts'
import { connectOptions, isThisHost, maskSecrets, maskUrl, parseUrl } from '../../src/db/url.ts'

const ENV = { USER: 'someone' }
const parse = (url: string, env: Record<string, string> = {}) =>
  parseUrl(url, { env: { ...ENV, PGUSER: 'me', ...env } })

describe('parseUrl', () => {
  it('reads every part', () => {
    expect(parse('postgresql://u:p%40ss@db.example:6543/name?application_name=x')).toMatchObject({
      hosts: [{ host: 'db.example', port: 6543 }],
      user: 'u',
      password: 'p@ss',
      database: 'name',
      applicationName: 'x',
      prepare: true,
      pooled: false,
    })
  })

  const hosts: [string, { host: string; port: number }[]][] = [
    ['postgres:///db', [{ host: 'localhost', port: 5432 }]],
    ['postgres://', [{ host: 'localhost', port: 5432 }]],
    ['postgres:///db?host=/var/run/pg', [{ host: '/var/run/pg', port: 5432 }]],
    ['postgres:///db?host=/a%20b/c&port=6000', [{ host: '/a b/c', port: 6000 }]],
    ['postgres://user@%2Ftmp%2Fsock/db', [{ host: '/tmp/sock', port: 5432 }]],
    ['postgres://user@%2Ftmp%2Fsock:7000/db', [{ host: '/tmp/sock', port: 7000 }]],
    ['postgres://u@[::1]:5433/db', [{ host: '::1', port: 5433 }]],
    ['postgres://u@[fe80::1%25eth0]/db', [{ host: 'fe80::1%eth0', port: 5432 }]],
    ['postgres:///db?host=::1', [{ host: '::1', port: 5432 }]],
    [
      'postgres://u@a:1,b:2,c/db',
      [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
        { host: 'c', port: 5432 },
      ],
    ],
    [
      'postgres:///db?host=a,b&port=1,2',
      [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
      ],
    ],
  ]
  it.each(hosts)('finds the hosts of %s', (url, expected) => {
    expect(parse(url).hosts).toEqual(expected)
  })

  it('takes what is left out from the environment, and the database from the user', () => {
    const env = { PGHOST: 'h', PGPORT: '1234', PGPASSWORD: 'secret', PGSSLMODE: 'require' }
    expect(parse('postgres://', env)).toMatchObject({
      hosts: [{ host: 'h', port: 1234 }],
      user: 'me',
      password: 'secret',
      database: 'me',
      tls: { mode: 'require' },
    })
    expect(parse('postgres://u:@h', env)).toMatchObject({ user: 'u', password: '', database: 'u' })
    expect(parse('postgres://u@h/x', { PGDATABASE: 'y' }).database).toBe('x')
  })

  it('takes no password from the environment for a URL that stood in a file', () => {
    const env = { ...ENV, PGPASSWORD: 'secret' }
    expect(parseUrl('postgres://u@h/db', { env, fromFile: true })).toMatchObject({
      password: undefined,
      withheld: true,
    })
    expect(parseUrl('postgres://u:own@h/db', { env, fromFile: true })).toMatchObject({
      password: 'own',
      withheld: false,
    })
    expect(parseUrl('postgres://u@h/db', { env })).toMatchObject({ password: 'secret', withheld: false })
  })

  it.each([
    ['127.0.0.1', true],
    ['::1', true],
    ['localhost', true],
    ['/tmp', true],
    ['127.evil.example', false],
    ['127.0.0.1.evil.example', false],
    ['192.0.2.1', false],
    ['', false],
  ])('the host "%s" is this machine: %s', (host, expected) => {
    expect(isThisHost(host)).toBe(expected)
  })

  const modes: [string, string][] = [
    ['postgres://localhost/db', 'disable'],
    ['postgres://127.0.0.1/db', 'disable'],
    ['postgres://[::1]/db', 'disable'],
    ['postgres://db.example/db', 'require'],
    ['postgres://localhost,db.example/db', 'require'],
    ['postgres://127.0.0.1.evil.example/db', 'require'],
    ['postgres://db.example/db?sslrootcert=/ca.pem', 'verify-ca'],
    ['postgres://db.example/db?sslmode=prefer', 'prefer'],
    ['postgres://db.example/db?sslmode=disable', 'disable'],
    ['postgres://db.example/db?sslmode=allow', 'prefer'],
    ['postgres://localhost/db?sslmode=require', 'require'],
    ['postgres://localhost/db?ssl=true', 'require'],
    ['postgres://h/db?sslmode=require&sslrootcert=/ca.pem', 'verify-ca'],
    ['postgres://h/db?sslmode=verify-full', 'verify-full'],
    ['postgres:///db?host=/tmp&sslmode=require', 'disable'],
  ]
  it.each(modes)('TLS of %s is %s', (url, mode) => {
    expect(parse(url).tls.mode).toBe(mode)
  })

  it('turns prepared statements off for poolers', () => {
    expect(parse('postgres://h/db?prepare=false')).toMatchObject({ prepare: false, pooled: false })
    expect(parse('postgres://h/db?pgbouncer=true')).toMatchObject({ prepare: false, pooled: true })
  })

  it('keeps a raw % in a password', () => {
    expect(parse('postgres://u:100%@h/db').password).toBe('100%')
    expect(parse('postgres://u:a@b@h/db')).toMatchObject({
      password: 'a@b',
      hosts: [{ host: 'h', port: 5432 }],
    })
  })

  const bad = [
    'mysql://u:hunter2@h/db',
    'u:hunter2@h/db',
    'postgres://u:hunter2@h:port/db',
    'postgres://u:hunter2@h:70000/db',
    'postgres://u:hun/ter2@h/db',
    'postgres://u:hunter2@h/db?sslmode=sometimes',
    'postgres://u:hunter2@h/db?sslmod=require',
    'postgres://u:hunter2@[::1/db',
  ]
  it.each(bad)('refuses %s without repeating its password', (url) => {
    try {
      parse(url)
      expect.unreachable()
    } catch (error) {
      if (!(error instanceof SwarmError)) throw error
      expect(error).toMatchObject({ code: 'INVALID', area: 'configuration', exitCode: 2 })
      expect(error.ctx.field).toBe('database_url')
      expect(JSON.stringify([error.message, error.ctx])).not.toMatch(/hunter2|ter2/)
    }
  })

  it('gives a plain driver what it needs', () => {
    expect(connectOptions('postgres://u:p@%2Ftmp/db')).toEqual({
      host: '/tmp',
      port: 5432,
      user: 'u',
      password: 'p',
      database: 'db',
      ssl: false,
    })
  })
})

describe('masking', () => {
  const urls: [string, string][] = [
    ['postgres://u:secret@h/db', 'postgres://u:***@h/db'],
    ['postgres://u:secret@h:5432/db?sslmode=require', 'postgres://u:***@h:5432/db?sslmode=require'],
    ['postgres://u:@h/db', 'postgres://u:***@h/db'],
    ['postgres://u@h:5432/db', 'postgres://u@h:5432/db'],
    ['postgres://h:5432/db', 'postgres://h:5432/db'],
    ['postgres://[::1]:5432/db', 'postgres://[::1]:5432/db'],
    ['postgres://a:1,b:2/db', 'postgres://a:1,b:2/db'],
    ['postgres:///db?host=/tmp', 'postgres:///db?host=/tmp'],
    ['postgres://user@%2Ftmp/db', 'postgres://user@%2Ftmp/db'],
    ['postgres:///db?user=u&password=secret&host=h', 'postgres:///db?user=u&password=***&host=h'],
    ['postgres://u:sec@ret@h/db', 'postgres://u:***@h/db'],
    ['postgres://u:sec/ret@h/db', 'postgres://u:***@h/db'],
    ['postgres://u:12/34@h/db', 'postgres://u:***@h/db'],
    ['postgres://u:12?34@h/db', 'postgres://u:***@h/db'],
    ['postgres://u:se:cret@h/db', 'postgres://u:***@h/db'],
    ['postgres://u:secret', 'postgres://u:***'],
    ['u:secret@h/db', 'u:***@h/db'],
  ]
  it.each(urls)('%s is shown as %s', (url, shown) => {
    expect(maskUrl(url)).toBe(shown)
  })

  const texts: [string, string][] = [
    ['cannot reach postgres://u:secret@h/db now', 'cannot reach postgres://u:***@h/db now'],
    [
      '{"database_url":"postgres://u:secret@h/db","mail":"a@b"}',
      '{"database_url":"postgres://u:***@h/db","mail":"a@b"}',
    ],
    [
      'from postgres://u:s1@h/a to postgresql://v:s2@i/b',
      'from postgres://u:***@h/a to postgresql://v:***@i/b',
    ],
    ['host=h password=secret user=u', 'host=h password=*** user=u'],
    ["password='sec ret' user=u", 'password=*** user=u'],
    ['{"password": "secret", "user": "u"}', '{"password": ***, "user": "u"}'],
    ['PGPASSWORD=secret', 'PGPASSWORD=***'],
    ['postgres://u:se"cret@h/db', 'postgres://u:***@h/db'],
    ['see https://example.org/a:b and http://h:80/', 'see https://example.org/a:b and http://h:80/'],
    ['password authentication failed for user "u"', 'password authentication failed for user "u"'],
  ]
  it.each(texts)('%s is shown as %s', (text, shown) => {
    expect(maskSecrets(text)).toBe(shown)
  })
})
