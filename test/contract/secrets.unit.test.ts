import { describe, expect, test } from 'vitest'
import {
  maskSecrets,
  maskWords,
  opensDatabase,
  rememberEnvironment,
  rememberToken,
  rememberUrl,
} from '../../src/contract/secrets.ts'

describe('masking takes time in proportion to the text', () => {
  const texts: [string, string][] = [
    ['12,000 @ behind a scheme', `postgres://${'a@'.repeat(12_000)}b:c`],
    ['a.a.a… of 480 kB', 'a.'.repeat(240_000)],
    ['a scheme after the other', 'a://'.repeat(120_000)],
    ['schemes between blanks', 'a:// '.repeat(20_000)],
    ['question marks', `postgres://h/${'?'.repeat(480_000)}`],
    ['short URLs of question marks', `postgres://h/${'?'.repeat(8_000)} `.repeat(60)],
    ['open quotes', 'password="\\'.repeat(40_000)],
    ['blanks after a name', `password${' '.repeat(480_000)}`],
    ['colons', `postgres://${':'.repeat(480_000)}`],
  ]
  // what grows with the square takes a minute and more
  test.each(texts)('%s', (_name, text) => {
    const started = performance.now()
    maskSecrets(text)
    expect(performance.now() - started).toBeLessThan(10_000)
  })
})

test('a URL longer than any connection URL is hidden whole', () => {
  expect(maskSecrets(`see postgres://u:${'x'.repeat(10_000)}@h/db now`)).toBe('see postgres://*** now')
})

test('the parameter of a password is known in every spelling', () => {
  expect(maskSecrets('postgres://h/db?pass%77ord=hunter2&sslmode=require')).toBe(
    'postgres://h/db?pass%77ord=***&sslmode=require',
  )
  expect(maskSecrets('DB_PASSWORD=hunter2')).toBe('DB_PASSWORD=***')
})

test('the secrets of this process are hidden wherever they stand: raw, in URLs and in JSON', () => {
  rememberEnvironment({ PGPASSWORD: 'p"ä/ss-1', GH_TOKEN: 'ghp_123456', HOME: '/home/someone' })
  rememberUrl('postgres://me:tr%C3%A9s%20cher@h/db')
  rememberUrl('postgres://h/db?pass%77ord=swordfish9')
  const text = `raw p"ä/ss-1 url ${encodeURIComponent('p"ä/ss-1')} json ${JSON.stringify('p"ä/ss-1')} ghp_123456`
  expect(maskSecrets(text)).toBe('raw *** url *** json "***" ***')
  expect(maskSecrets('trés cher, tr%C3%A9s%20cher, swordfish9, /home/someone')).toBe(
    '***, ***, ***, /home/someone',
  )
})

test('a token that this process was shown is hidden wherever it stands, whatever its form', () => {
  rememberToken('own-token-of-a-proxy-1')
  expect(maskSecrets('Bearer own-token-of-a-proxy-1x own-token-of-a-proxy-1')).toBe('Bearer ***x ***')
  rememberToken('implement')
  expect(maskSecrets('implement the API')).toBe('implement the API')
  // a server is shown any number of them
  for (let n = 0; n < 1_000; n++) rememberToken(`another-token-${n}-abcdef`)
  expect(maskSecrets('another-token-999-abcdef another-token-1-abcdef')).toBe('*** another-token-1-abcdef')
})

test('what is both user and password is a common word and hides nothing', () => {
  rememberUrl('postgres://builder:builder@h/db')
  expect(maskSecrets('the builder of postgres')).toBe('the builder of postgres')
})

test('the words of a command hide the values of secret options', () => {
  expect(maskWords(['psql', '--password', 'hunter2', '--token=abc', 'postgres://u:x1@h/d', '-v'])).toEqual([
    ...['psql', '--password', '***', '--token=***', 'postgres://u:***@h/d', '-v'],
  ])
})

test('a variable that opens the database is known in every spelling', () => {
  expect(opensDatabase('DATABASE_URL', ' postgres://u:hunter2@h/db')).toBe(true)
  expect(opensDatabase('X', 'postgres://u@h/db?pass%77ord=hunter2')).toBe(true)
  expect(opensDatabase('X', '\tpostgresql://u:hunter2@h/db')).toBe(true)
  expect(opensDatabase('pgpassword', 'x')).toBe(true)
  expect(opensDatabase('DATABASE_URL', 'postgres://u@h/db')).toBe(false)
})
