import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { plainClient } from '../test/support/template.ts'

/** The least that could answer the same over HTTP: Hono, the driver, and the same two statements. Says its port on stdout. */
export function bareHono(url: string, repo: string): void {
  const sql = plainClient(url, 10, 'bare hono')
  const app = new Hono()
  app.get('/api/beads/:id', async (c) => {
    const [row] = await sql`select swarm.show_bead(${repo}, ${c.req.param('id')}) as d`
    return c.json(row?.d)
  })
  app.patch('/api/beads/:id', async (c) => {
    const args = JSON.stringify({ ...(await c.req.json()), bead_id: c.req.param('id') })
    const [row] =
      await sql`select swarm.run(${repo}, 'update', ${args}::text::jsonb, '{"holder":"bench"}'::jsonb,
      gen_random_uuid()::text, null) as r`
    return c.json(row?.r)
  })
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) => {
    process.stdout.write(`${JSON.stringify({ d: { url: `http://127.0.0.1:${port}` } })}\n`)
  })
  process.once('SIGTERM', () => {
    server.close()
    void sql.end({ timeout: 1 })
    process.exit()
  })
}
