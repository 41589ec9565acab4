import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { benchAppends } from './appends.ts'
import { bareHono } from './bare-hono.ts'
import { benchClaims } from './claims.ts'
import { benchHttp } from './http.ts'
import type { Section } from './measure.ts'
import { benchPage } from './page.ts'
import { benchPairs, pairsOptions } from './pairs.ts'
import { benchPeers } from './peers.ts'
import { type BenchServer, withServer } from './server.ts'
import { benchStart } from './start.ts'
import { benchLatency, benchReplay, benchSubscribers } from './streams.ts'
import { benchStuck } from './stuck.ts'
import { benchTick } from './tick.ts'
import { benchTrain } from './train.ts'
import { benchUp } from './up.ts'

const BENCHES: Readonly<Record<string, (fresh: () => Promise<BenchServer>) => Promise<Section>>> = {
  a: async (fresh) => benchStart(await fresh()),
  b: async (fresh) => benchAppends(await fresh()),
  c: benchClaims,
  d: async (fresh) => benchLatency(await fresh()),
  e: async (fresh) => benchSubscribers(await fresh()),
  f: benchReplay,
  tick: benchTick,
  stuck: benchStuck,
  train: benchTrain,
  up: async (fresh) => benchUp(await fresh()),
  http: async (fresh) => benchHttp(await fresh()),
  page: async (fresh) => benchPage(await fresh()),
  pairs: async (fresh) => benchPairs(await fresh(), pairsOptions(process.argv)),
  peers: async (fresh) => benchPeers(await fresh()),
}

function render(section: Section): string {
  const rows = section.rows.map((row) =>
    [
      row.what,
      row.value,
      row.against ?? '',
      row.ratio ?? '',
      row.goal ?? '',
      row.met === undefined ? '' : row.met ? 'yes' : '**no**',
    ].join(' | '),
  )
  return `## ${section.title}\n\n${section.how}\n\n| what | measured | against | ratio | goal | met |\n|---|---|---|---|---|---|\n${rows.map((row) => `| ${row} |\n`).join('')}`
}

function machine(): string {
  const [cpu] = cpus()
  return `${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${type()}, Node ${process.versions.node}, embedded Postgres 18, on ${new Date().toISOString().slice(0, 10)}`
}

/** What stands in the results that no benchmark has made: it stays. */
function byHand(file: string): string {
  if (!existsSync(file)) return ''
  const old = readFileSync(file, 'utf8')
  const from = old.indexOf('\n## Torture')
  return from < 0 ? '' : old.slice(from)
}

/** The results with one section in the place of the one that has its title, else before what was made by hand. */
function withSection(old: string, text: string): string {
  const title = text.slice(0, text.indexOf('\n'))
  const from = old.indexOf(`${title}\n`)
  if (from >= 0) {
    const next = old.indexOf('\n## ', from + 1)
    return `${old.slice(0, from)}${text}${next < 0 ? '' : old.slice(next)}`
  }
  const hand = old.indexOf('\n## Torture')
  return hand < 0 ? `${old}\n${text}` : `${old.slice(0, hand)}\n${text}${old.slice(hand)}`
}

async function main(): Promise<void> {
  const wanted = process.argv.slice(2)
  // the process that another one is measured beside
  if (wanted[0] === 'bare-hono') return bareHono(wanted[1] ?? '', wanted[2] ?? '')
  // the peers need the network: they run by name only
  const names = Object.keys(BENCHES).filter((name) =>
    wanted.length === 0 ? name !== 'peers' : wanted.includes(name),
  )
  const sections: string[] = []
  await withServer(async (fresh) => {
    for (const name of names) {
      const bench = BENCHES[name]
      if (!bench) continue
      process.stderr.write(`${name} …\n`)
      const text = render(await bench(fresh))
      process.stderr.write(`${text}\n`)
      sections.push(text)
    }
  })
  const file = join(process.env.SWARM_BENCH_ROOT ?? '.', 'bench', 'RESULTS.md')
  if (wanted.includes('--write')) {
    const today = new Date().toISOString().slice(0, 10)
    // where something lies on this machine concerns nobody
    const told = wanted
      .filter((word) => word !== '--write')
      .map((word) => (word.startsWith('/') ? 'DIR' : word))
      .join(' ')
    const dated = sections.map((text) =>
      text.replace(
        '\n\n|',
        `\n\n\`npm run bench -- ${told}\`, ${today}, load ${loadavg()[0]?.toFixed(0)}:\n\n|`,
      ),
    )
    writeFileSync(file, dated.reduce(withSection, readFileSync(file, 'utf8')))
  }
  if (wanted.length > 0) return
  const head = `# Results\n\nAbsolute figures differ from machine to machine; the ratios are measured side by side in one run.\n\n- machine: ${machine()}\n- command: \`npm run bench\`\n\n`
  writeFileSync(file, head + sections.join('\n') + byHand(file))
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
  process.exitCode = 1
})
