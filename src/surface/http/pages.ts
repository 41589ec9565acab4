import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import type { Ctx } from './asked.ts'

/** The files of the page, by their path. Read once: they are part of the build. */
export interface Pages {
  /** The file of a path, or undefined. `/` and paths without an extension are the page itself: it reads them. */
  answer(c: Ctx): Response | undefined
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
}
const FOREVER = 'public, max-age=31536000, immutable'

/** Looks for the built page in this folder; without one there are no pages. */
export function loadPages(folder: string): Pages {
  const files = new Map<string, Buffer>()
  for (const name of namesIn(folder)) files.set(`/${name}`, readFileSync(join(folder, name)))
  return {
    answer(c) {
      const path = c.req.path
      const isPage = extname(path) === '' && !/^\/(?:api|internal|metrics|mcp|ws)\b/.test(path)
      const name = isPage ? '/index.html' : path
      const bytes = files.get(name)
      const type = TYPES[extname(name)]
      if (!bytes || !type || (c.req.method !== 'GET' && c.req.method !== 'HEAD')) return undefined
      // the build puts a hash into the names of what it puts under assets
      const kept = name.startsWith('/assets/') ? FOREVER : 'no-cache'
      return c.body(new Uint8Array(bytes), 200, { 'content-type': type, 'cache-control': kept })
    },
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
  } catch {
    return []
  }
}
