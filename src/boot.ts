import { readFileSync } from 'node:fs'
import nodeModule from 'node:module'
import { dirname, join } from 'node:path'
import { Script } from 'node:vm'
import { askResident } from './surface/resident/client.ts'

/* Put in by the build. Both names hold a hash of the bundle: V8 itself only checks that the length is the same. */
declare const SWARM_BUNDLE: string
declare const SWARM_CACHE: string
/** What the cache was made by, like `v20.20.2-x64`; another Node cannot use it. */
declare const SWARM_CACHE_FOR: string

/**
 * Runs the bundle out of its code cache. Compiling a megabyte is a third of a start (25 of 70 ms); Node's own compile cache
 * does the same from 22.1 on, but only after a first start, and not in Node 20.
 */
function boot(): void {
  const file = join(__dirname, SWARM_BUNDLE)
  const script = cachedScript(file)
  if (script) {
    script.runInThisContext().call({}, {}, require, { exports: {} }, file, dirname(file))
    return
  }
  // from Node 22.1 on; the types are those of the oldest Node supported
  const enableCompileCache: unknown = Reflect.get(nodeModule, 'enableCompileCache')
  if (typeof enableCompileCache === 'function') enableCompileCache()
  require(file)
}

function cachedScript(filename: string): Script | undefined {
  if (`${process.version}-${process.arch}` !== SWARM_CACHE_FOR) return undefined
  try {
    const cachedData = readFileSync(join(__dirname, SWARM_CACHE))
    // the bundle is ASCII, and reading it as such is faster
    const source = readFileSync(filename, 'latin1')
    const script = new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
      filename,
      cachedData,
    })
    return script.cachedDataRejected ? undefined : script
  } catch {
    return undefined
  }
}

askResident(SWARM_BUNDLE, boot)
