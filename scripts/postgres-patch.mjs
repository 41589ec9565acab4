/**
 * The patch of postgres.js 3.4.9 that the bundle and the tests run with; only src/connection.js is changed.
 *
 * 1. When a connection dies with a write pending, the driver writes to a null socket from a setImmediate, which no caller can
 *    catch: the process exits. Patched, the pending query fails with CONNECTION_CLOSED.
 * 2. A closed connection keeps the bytes it had not sent and would send them before its next start-up message. Patched, it
 *    forgets them.
 * 3. A query with parameters asks the server for their types and waits before it goes on. Our parameters are all text, so a
 *    query made with `describeFirst: false` saves that round trip.
 * 4. `tls` and `crypto` are loaded when used: 5 ms of a start that needs neither.
 * 5. A server may ask for the password in clear text. Patched, it gets none over a connection that leaves the machine without TLS:
 *    one whose socket has `clearText: false`. TLS puts a socket of its own in its place.
 */
import { readFile } from 'node:fs/promises'

const DRIVER = /[\\/]postgres[\\/]src[\\/]connection\.js(\?.*)?$/
const UNPATCHED = /[\\/]postgres[\\/](?:cjs|cf)[\\/]src[\\/]connection\.js$/

const REPLACEMENTS = [
  [
    `  async function AuthenticationCleartextPassword() {
    const payload = await Pass()
`,
    `  async function AuthenticationCleartextPassword() {
    if (socket.clearText === false) {
      const message = 'the server asks for the password in clear text; without TLS it is not sent'
      errored(Object.assign(new Error(message), { code: 'CLEAR_TEXT_PASSWORD' }))
      return socket.destroy()
    }
    const payload = await Pass()
`,
  ],
  [
    `  function nextWrite(fn) {
    const x = socket.write(chunk, fn)
`,
    `  function nextWrite(fn) {
    if (socket === null) {
      nextWriteTimer !== null && clearImmediate(nextWriteTimer)
      chunk = nextWriteTimer = null
      error(Errors.connection('CONNECTION_CLOSED', options))
      return false
    }
    const x = socket.write(chunk, fn)
`,
  ],
  [
    `    clearImmediate(nextWriteTimer)
    socket.removeListener('data', data)
`,
    `    clearImmediate(nextWriteTimer)
    chunk = nextWriteTimer = null
    socket.removeListener('data', data)
`,
  ],
  [
    `    q.describeFirst = q.onlyDescribe || (parameters.length && !q.prepared)
`,
    `    q.describeFirst = q.onlyDescribe || (q.options.describeFirst !== false && parameters.length && !q.prepared)
`,
  ],
  [
    `import tls from 'tls'
import crypto from 'crypto'
`,
    `const tls = lazy('tls', ['connect'])
const crypto = lazy('crypto', ['randomBytes', 'pbkdf2Sync', 'createHash', 'createHmac'])
`,
  ],
  [
    `import { performance } from 'perf_hooks'
`,
    `const { performance } = globalThis
`,
  ],
  [
    `export default Connection
`,
    `export default Connection

function lazy(name, methods) {
  return Object.fromEntries(methods.map(method => [
    method,
    (...args) => process.getBuiltinModule(name)[method](...args)
  ]))
}
`,
  ],
]

/**
 * The patched text of the driver's src/connection.js. Throws when a place to patch is not there exactly once: the driver is
 * another version, and the patch must be looked at again.
 * @param {string} source
 * @returns {string}
 */
export function patchPostgres(source) {
  let patched = source
  for (const [from, to] of REPLACEMENTS) {
    const parts = patched.split(from)
    if (parts.length !== 2) {
      throw new Error(
        `postgres/src/connection.js has ${parts.length - 1} places like this, expected one:\n${from}`,
      )
    }
    patched = parts.join(to)
  }
  return patched
}

/** For esbuild: bundles the patched driver, and refuses the copy that the patch does not reach. */
export function esbuildPlugin() {
  return {
    name: 'postgres-patch',
    setup(build) {
      build.onLoad({ filter: DRIVER }, async ({ path }) => ({
        contents: patchPostgres(await readFile(path, 'utf8')),
        loader: 'js',
      }))
      build.onLoad({ filter: UNPATCHED }, ({ path }) => ({
        errors: [{ text: `${path} is not patched: import 'postgres', do not require it` }],
      }))
    },
  }
}

/** For Vite and Vitest: the tests run the same patched driver; it is inlined so that it can be transformed. */
export function vitePlugin() {
  return {
    name: 'postgres-patch',
    enforce: 'pre',
    config: () => ({ test: { server: { deps: { inline: [/[\\/]postgres[\\/]/] } } } }),
    transform(code, id) {
      return DRIVER.test(id) ? { code: patchPostgres(code), map: null } : undefined
    },
  }
}
